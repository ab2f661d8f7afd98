import java.nio.file.*;
import java.util.*;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;

/**
 * A Kafka cluster in one process: Cluster FOLDER CONTROLLER BROKER…, the first broker being the controller, too.
 * A broker is ADDRESS or ADDRESS,SECOND=ADVERTISED: where it listens, and a second listener with what it tells
 * clients of it. The file FOLDER/ready says that all brokers run. It ends when its standard input does.
 */
public class Cluster {
    public static void main(String[] args) throws Exception {
        Path folder = Paths.get(args[0]);
        String cluster = Uuid.randomUuid().toString();
        List<KafkaRaftServer> servers = new ArrayList<>();
        int brokers = args.length - 2;
        for (int i = 0; i < brokers; i++) {
            int id = i + 1;
            String[] addresses = args[i + 2].split("[,=]");
            boolean two = addresses.length == 3;
            Properties p = new Properties();
            boolean controller = i == 0;
            p.setProperty("process.roles", controller ? "broker,controller" : "broker");
            p.setProperty("node.id", "" + id);
            p.setProperty("controller.quorum.voters", "1@" + args[1]);
            p.setProperty("controller.listener.names", "CONTROLLER");
            p.setProperty("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,SECOND:PLAINTEXT,CONTROLLER:PLAINTEXT");
            p.setProperty("listeners", "PLAINTEXT://" + addresses[0] + (two ? ",SECOND://" + addresses[1] : "") + (controller ? ",CONTROLLER://" + args[1] : ""));
            p.setProperty("advertised.listeners", "PLAINTEXT://" + addresses[0] + (two ? ",SECOND://" + addresses[2] : ""));
            p.setProperty("inter.broker.listener.name", "PLAINTEXT");
            p.setProperty("log.dirs", folder.resolve("broker" + id).toString());
            String copies = "" + Math.min(3, brokers);
            p.setProperty("offsets.topic.replication.factor", copies);
            p.setProperty("offsets.topic.num.partitions", "3");
            p.setProperty("transaction.state.log.replication.factor", copies);
            p.setProperty("transaction.state.log.min.isr", "1");
            p.setProperty("transaction.state.log.num.partitions", "3");
            p.setProperty("group.initial.rebalance.delay.ms", "0");
            p.setProperty("group.coordinator.rebalance.protocols", "classic,consumer");
            p.setProperty("num.network.threads", "1");
            p.setProperty("num.io.threads", "2");
            p.setProperty("background.threads", "2");
            p.setProperty("log.cleaner.enable", "false");
            p.setProperty("auto.create.topics.enable", "true");
            Path file = folder.resolve("broker" + id + ".properties");
            try (var out = Files.newOutputStream(file)) { p.store(out, null); }
            StorageTool.execute(new String[] {"format", "-t", cluster, "-c", file.toString()}, System.err);
            servers.add(new KafkaRaftServer(KafkaConfig.fromProps(p), Time.SYSTEM));
        }
        List<Thread> starting = new ArrayList<>();
        for (KafkaRaftServer s : servers) {
            Thread t = new Thread(s::startup);
            t.start();
            starting.add(t);
        }
        for (Thread t : starting) t.join();
        Files.createFile(folder.resolve("ready"));
        while (System.in.read() >= 0) { }
        Runtime.getRuntime().halt(0);
    }
}
