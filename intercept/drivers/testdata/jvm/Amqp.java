import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

/** RabbitMQ's own client. Arguments are addresses; what it saw at each ends with a line "--". */
class Amqp {
    static void say(Object... o) {
        System.out.println(Arrays.toString(o).replaceAll("q-[0-9a-f-]{36}", "QUEUE").replace("\n", " "));
    }

    interface Step { Object run() throws Exception; }

    static void tell(String what, Step step) {
        try {
            say(what, step.run());
        } catch (Exception e) {
            Throwable t = e instanceof java.io.IOException && e.getCause() != null ? e.getCause() : e;
            if (t instanceof ShutdownSignalException s) say(what, s.isHardError() ? "connection" : "channel", s.getReason().toString().replaceAll("class-id.*", ""));
            else say(what, t.getClass().getSimpleName());
        }
    }

    static void work(String address) throws Exception {
        ConnectionFactory f = new ConnectionFactory();
        f.setUri("amqp://guest:guest@" + address); // vhost "/"
        f.setAutomaticRecoveryEnabled(false);
        String q = "q-" + UUID.randomUUID();
        Connection c = f.newConnection();
        Channel ch = c.createChannel();
        tell("queue", () -> ch.queueDeclare(q, true, false, false, null).getMessageCount());
        tell("exchange", () -> ch.exchangeDeclare(q, "topic") != null);
        tell("bind", () -> ch.queueBind(q, q, "a.#") != null);
        for (int size : new int[] {3, 0, 400000}) ch.basicPublish(q, "a.b", new AMQP.BasicProperties.Builder().headers(Map.of("h", size)).build(), new byte[size]);
        for (int i = 0; i < 4; i++) tell("get", () -> {
            GetResponse r = ch.basicGet(q, false);
            if (r == null) return "nothing";
            ch.basicAck(r.getEnvelope().getDeliveryTag(), false);
            return r.getEnvelope().getRoutingKey() + " " + r.getBody().length + " " + r.getProps().getHeaders();
        });
        Channel confirmed = c.createChannel();
        confirmed.confirmSelect();
        Set<Long> nacks = new ConcurrentSkipListSet<>();
        confirmed.addConfirmListener((tag, multiple) -> {}, (tag, multiple) -> nacks.add(tag));
        BlockingQueue<String> returned = new LinkedBlockingQueue<>();
        confirmed.addReturnListener(r -> returned.add(r.getReplyCode() + " " + r.getReplyText() + " " + r.getRoutingKey()));
        for (int i = 0; i < 300; i++) confirmed.basicPublish(q, "a." + i, null, ("" + i).getBytes());
        confirmed.basicPublish(q, "nowhere", true, null, "x".getBytes());
        tell("confirmed", () -> confirmed.waitForConfirms(20000) + " " + nacks);
        tell("returned", () -> returned.poll(10, TimeUnit.SECONDS));
        AtomicInteger n = new AtomicInteger();
        CountDownLatch last = new CountDownLatch(1);
        ch.basicQos(50);
        tell("consume", () -> ch.basicConsume(q, false, "me", (tag, d) -> {
            n.incrementAndGet();
            ch.basicAck(d.getEnvelope().getDeliveryTag(), false);
            if (d.getEnvelope().getRoutingKey().equals("a.299")) last.countDown();
        }, tag -> {}));
        last.await(10, TimeUnit.SECONDS);
        tell("cancel", () -> { ch.basicCancel("me"); return n.get(); });
        Channel tx = c.createChannel();
        tx.txSelect();
        tx.basicPublish(q, "a.tx", null, "x".getBytes());
        tell("commit", () -> tx.txCommit() != null);
        tell("no queue", () -> c.createChannel().queueDeclarePassive("none"));
        tell("other", () -> c.createChannel().queueDeclare(q, false, false, false, null));
        tell("delete", () -> ch.queueDelete(q) != null);
        tell("delete", () -> ch.exchangeDelete(q) != null);
        tell("close", () -> { c.close(10000); return "closed"; });
    }

    public static void main(String[] args) throws Exception {
        for (String address : args) {
            work(address);
            System.out.println("--");
        }
        System.exit(0);
    }
}
