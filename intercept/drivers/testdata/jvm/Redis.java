import io.lettuce.core.*;
import io.lettuce.core.api.*;
import io.lettuce.core.protocol.ProtocolVersion;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import redis.clients.jedis.*;

/** Jedis and Lettuce. Arguments are addresses; what they saw at each ends with a line "--". */
class Redis {
    static void say(Object... o) { System.out.println(Arrays.deepToString(o).replace("\n", " ")); }

    interface Step { Object run() throws Exception; }

    static void tell(String what, Step step) {
        try {
            say(what, step.run());
        } catch (Exception e) {
            Throwable t = e instanceof ExecutionException ? e.getCause() : e;
            say(what, t.getClass().getSimpleName(), t.getMessage());
        }
    }

    static void jedis(String host, int port, RedisProtocol protocol) {
        try (Jedis c = new Jedis(new HostAndPort(host, port), DefaultJedisClientConfig.builder().protocol(protocol).timeoutMillis(20000).build())) {
            tell("flush", () -> c.flushAll());
            tell("set", () -> c.set("a", "1"));
            tell("get", () -> c.get("a") + c.get("none"));
            tell("mget", () -> c.mget("a", "none"));
            tell("wrong type", () -> c.lpush("a", "x"));
            tell("hash", () -> c.hset("h", Map.of("f", "v")) + " " + c.hgetAll("h"));
            tell("zset", () -> c.zadd("z", 1.5, "m") + " " + c.zrangeWithScores("z", 0, -1));
            tell("script", () -> c.eval("return {1, ARGV[1]}", 0, "x"));
            tell("pipeline", () -> {
                Pipeline p = c.pipelined();
                for (int i = 0; i < 3000; i++) p.incr("n");
                p.lpush("a", "x");
                List<Object> all = p.syncAndReturnAll();
                return all.get(2999) + " " + all.get(3000);
            });
            tell("transaction", () -> { Transaction t = c.multi(); t.incr("n"); t.lpush("a", "x"); t.get("a"); return t.exec(); });
            tell("large", () -> { c.set("large", "x".repeat(1000000)); return c.get("large").length(); });
            tell("blocking", () -> c.blpop(1, "empty"));
        }
        try (Jedis sub = new Jedis(host, port); Jedis pub = new Jedis(host, port)) {
            sub.subscribe(new JedisPubSub() {
                @Override public void onSubscribe(String channel, int n) { say("subscribed", channel, n); pub.publish("ch", "hello"); }
                @Override public void onMessage(String channel, String m) { say("message", channel, m); unsubscribe(); }
            }, "ch");
        }
    }

    static void lettuce(String host, int port) throws Exception {
        RedisClient client = RedisClient.create(RedisURI.Builder.redis(host, port).withTimeout(Duration.ofSeconds(20)).build());
        client.setOptions(ClientOptions.builder().autoReconnect(false).protocolVersion(ProtocolVersion.RESP3).build());
        StatefulRedisConnection<String, String> connection = client.connect();
        var c = connection.sync();
        tell("set", () -> c.set("a", "1"));
        tell("wrong type", () -> c.lpush("a", "x"));
        tell("hash", () -> c.hgetall("h"));
        var async = connection.async();
        tell("queued", () -> {
            List<RedisFuture<Long>> all = new ArrayList<>();
            for (int i = 0; i < 3000; i++) all.add(async.incr("n"));
            return all.get(2999).get(20, TimeUnit.SECONDS);
        });
        tell("transaction", () -> { c.multi(); async.incr("n"); async.lpush("a", "x"); return c.exec().stream().map(String::valueOf).toList(); });
        var sub = client.connectPubSub();
        var heard = new LinkedBlockingQueue<String>();
        sub.addListener(new io.lettuce.core.pubsub.RedisPubSubAdapter<>() {
            @Override public void message(String pattern, String channel, String m) { heard.add(pattern + " " + channel + " " + m); }
        });
        sub.sync().psubscribe("p*");
        c.publish("px", "hello");
        tell("message", () -> heard.poll(10, TimeUnit.SECONDS));
        client.shutdown(0, 1, TimeUnit.SECONDS);
    }

    public static void main(String[] args) throws Exception {
        for (String address : args) {
            String host = address.split(":")[0];
            int port = Integer.parseInt(address.split(":")[1]);
            jedis(host, port, RedisProtocol.RESP2);
            jedis(host, port, RedisProtocol.RESP3);
            lettuce(host, port);
            System.out.println("--");
        }
        System.exit(0);
    }
}
