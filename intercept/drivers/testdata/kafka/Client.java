import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;

/** Apache Kafka's own client. Client work ADDRESS TOPIC | produce ADDRESS TOPIC COUNT SIZE | consume[-new] ADDRESS TOPIC COUNT | pipeline ADDRESS TOPIC COUNT [TRANSACTION] */
public class Client {
    static String address, topic;

    public static void main(String[] args) throws Exception {
        address = args[1];
        topic = args[2];
        switch (args[0]) {
            case "work": work(); break;
            case "produce": produce(Integer.parseInt(args[3]), Integer.parseInt(args[4])); break;
            case "consume": consume("classic", Integer.parseInt(args[3]), "read_uncommitted"); break;
            case "consume-new": consume("consumer", Integer.parseInt(args[3]), "read_uncommitted"); break;
            case "pipeline": pipeline(Integer.parseInt(args[3]), args.length > 4 ? args[4] : ""); break;
        }
    }

    static KafkaProducer<String, String> producer(String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        for (int i = 0; i < settings.length; i += 2) p.put(settings[i], settings[i + 1]);
        return new KafkaProducer<>(p);
    }

    static void work() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var p = producer("compression.type", codec, "linger.ms", "20")) { // idempotent by default
                List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 0; i < 4; i++) sent.add(p.send(new ProducerRecord<>(topic, i % 2, "k" + i, codec + i)));
                for (var s : sent) System.out.println("sent " + s.get().partition() + ":" + s.get().offset());
            }
        }
        try (var p = producer("acks", "0", "enable.idempotence", "false")) {
            p.send(new ProducerRecord<>(topic, 0, null, "unheard")).get();
        }
        try (var p = producer("transactional.id", "tx-" + topic)) {
            p.initTransactions();
            for (String end : List.of("commit", "abort", "commit")) {
                p.beginTransaction();
                var sent = p.send(new ProducerRecord<>(topic, 1, "tx", end));
                p.flush();
                System.out.println("sent " + sent.get().offset());
                p.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)), new ConsumerGroupMetadata("g-" + topic));
                if (end.equals("commit")) p.commitTransaction(); else p.abortTransaction();
            }
        }
        consume("classic", 23, "read_committed");
        consume("consumer", 23, "read_committed");
        consume("classic", 24, "read_uncommitted");
    }

    static void consume(String protocol, int count, String isolation) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("group.id", "g-" + protocol + isolation + topic);
        p.put("group.protocol", protocol);
        p.put("isolation.level", isolation);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        try (var c = new KafkaConsumer<String, String>(p)) {
            c.subscribe(List.of(topic));
            List<String> got = new ArrayList<>();
            long end = System.nanoTime() + 20_000_000_000L;
            while (got.size() < count && System.nanoTime() < end) {
                try {
                    for (var r : c.poll(Duration.ofMillis(200)))
                        got.add(r.partition() + ":" + r.offset() + " " + r.key() + "=" + r.value());
                } catch (org.apache.kafka.common.KafkaException e) {
                    System.out.println("failed " + e.getClass().getSimpleName());
                    return;
                }
            }
            c.commitSync();
            Collections.sort(got);
            got.forEach(g -> System.out.println(protocol + " " + g));
            new TreeMap<>(Map.of(0, 0, 1, 1)).keySet().forEach(i -> {
                var at = c.committed(Set.of(new TopicPartition(topic, i))).get(new TopicPartition(topic, i));
                System.out.println("committed " + i + ":" + (at == null ? "none" : at.offset()));
            });
        }
    }

    /** Many idempotent sends in flight, in a transaction that commits if one is named. */
    static void pipeline(int count, String transaction) throws Exception {
        String[] tx = transaction.isEmpty() ? new String[0] : new String[] {"transactional.id", transaction};
        List<String> settings = new ArrayList<>(List.of("linger.ms", "2", "batch.size", "400", "compression.type", "lz4"));
        settings.addAll(List.of(tx));
        try (var p = producer(settings.toArray(new String[0]))) {
            if (tx.length > 0) { p.initTransactions(); p.beginTransaction(); }
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(p.send(new ProducerRecord<>(topic, i % 2, "k" + i, "v" + i)));
                if (i % 50 == 49) Thread.sleep(5);
            }
            for (var s : sent) s.get();
            if (tx.length > 0) p.commitTransaction();
            System.out.println("all sent");
        }
    }

    static void produce(int count, int size) {
        try (var p = producer("retries", "1", "retry.backoff.ms", "10", "delivery.timeout.ms", "15000", "request.timeout.ms", "10000",
                "linger.ms", "0", "enable.idempotence", "false", "acks", "all")) {
            for (int i = 0; i < count; i++) {
                try {
                    System.out.println("sent " + p.send(new ProducerRecord<>(topic, 0, "k" + i, "v".repeat(size - 1) + i)).get().offset());
                } catch (Exception e) {
                    System.out.println("failed " + e.getCause().getClass().getSimpleName());
                }
            }
        }
    }
}
