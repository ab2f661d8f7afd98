import io.nats.client.*;
import io.nats.client.api.*;
import io.nats.client.impl.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;

/** NATS' own client. Arguments are addresses; what it saw at each ends with a line "--". */
class Nats {
    static void say(Object... o) { System.out.println(Arrays.deepToString(o).replaceAll("s[0-9a-f]{32}", "STREAM").replace("\n", " ")); }

    interface Step { Object run() throws Exception; }

    static void tell(String what, Step step) {
        try {
            say(what, step.run());
        } catch (Exception e) {
            Throwable t = e instanceof ExecutionException ? e.getCause() : e;
            say(what, t.getClass().getSimpleName(), t.getMessage());
        }
    }

    static String text(Message m) { return m == null ? "nothing" : m.getSubject() + " " + m.getData().length + " " + (m.hasHeaders() ? m.getHeaders().get("A") : ""); }

    static void work(String address) throws Exception {
        var errors = new LinkedBlockingQueue<String>();
        Connection c = io.nats.client.Nats.connect(new Options.Builder().server("nats://" + address).noReconnect().errorListener(new ErrorListener() {
            @Override public void errorOccurred(Connection c, String e) { errors.add(e); }
        }).build());
        Subscription all = c.subscribe("j.>");
        c.flush(Duration.ofSeconds(10));
        c.publish("j.a", "plain".getBytes());
        c.publish("j.b", new Headers().add("A", "b"), new byte[900000]);
        c.publish("j.c", null);
        for (int i = 0; i < 3; i++) tell("next", () -> text(all.nextMessage(3000)));
        Dispatcher d = c.createDispatcher(m -> { if (m.getReplyTo() != null) c.publish(m.getReplyTo(), m.getData()); });
        d.subscribe("j2.echo", "q");
        tell("request", () -> new String(c.request("j2.echo", "hello".getBytes()).get(5, TimeUnit.SECONDS).getData()));
        tell("nobody", () -> c.request("j2.nobody", null).get(5, TimeUnit.SECONDS));
        tell("many", () -> {
            List<CompletableFuture<Message>> asked = new ArrayList<>();
            for (int i = 0; i < 300; i++) asked.add(c.request("j2.echo", ("" + i).getBytes()));
            int sum = 0;
            for (var f : asked) sum += Integer.parseInt(new String(f.get(10, TimeUnit.SECONDS).getData()));
            return sum;
        });
        String stream = "s" + UUID.randomUUID().toString().replace("-", "");
        JetStreamManagement jsm = c.jetStreamManagement();
        tell("no stream", () -> jsm.getStreamInfo(stream));
        jsm.addStream(StreamConfiguration.builder().name(stream).subjects(stream + ".>").storageType(StorageType.Memory).build());
        JetStream js = c.jetStream();
        tell("publish", () -> js.publish(stream + ".a", "1".getBytes()).getSeqno());
        tell("expected", () -> js.publish(stream + ".a", null, PublishOptions.builder().expectedLastSequence(99).build()));
        tell("full", () -> js.publish(stream + ".full", null).getSeqno());
        c.publish("j.denied", null);
        tell("error", () -> String.valueOf(errors.poll(500, TimeUnit.MILLISECONDS)));
        c.close();
    }

    public static void main(String[] args) throws Exception {
        for (String address : args) {
            work(address);
            System.out.println("--");
        }
        System.exit(0);
    }
}
