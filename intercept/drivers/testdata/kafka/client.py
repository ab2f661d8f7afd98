"""confluent-kafka: client.py work ADDRESS TOPIC | produce ADDRESS TOPIC COUNT SIZE | consume ADDRESS TOPIC COUNT |
pipeline ADDRESS TOPIC COUNT [TRANSACTION]"""
import sys, time
from confluent_kafka import Consumer, Producer, KafkaError, KafkaException, TopicPartition

mode, address, topic = sys.argv[1:4]


def told(err, msg):
    print("failed " + err.name() if err else "sent %d:%d" % (msg.partition(), msg.offset()))


def consume(count, isolation="read_committed"):
    c = Consumer({"bootstrap.servers": address, "group.id": "g-" + isolation + topic, "auto.offset.reset": "earliest",
                  "isolation.level": isolation, "enable.auto.commit": False})
    c.subscribe([topic])
    got, end = [], time.time() + 20
    while len(got) < count and time.time() < end:
        m = c.poll(0.2)
        if m is None:
            continue
        if m.error():
            print("failed", m.error().name())
            continue
        got.append("%d:%d %s=%s" % (m.partition(), m.offset(), (m.key() or b"").decode(), m.value().decode()))
    print("\n".join(sorted(got)))
    if got:
        c.commit(asynchronous=False)
        print([p.offset for p in c.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)])])
    c.close()


if mode == "produce":
    p = Producer({"bootstrap.servers": address, "retries": 1, "retry.backoff.ms": 10, "linger.ms": 0, "message.timeout.ms": 15000,
                  "message.max.bytes": 10000000, "acks": "all"})
    for i in range(int(sys.argv[4])):
        p.produce(topic, "v" * (int(sys.argv[5]) - 1) + str(i), "k%d" % i, 0, on_delivery=told)
        p.flush()
elif mode == "pipeline":
    settings = {"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2, "batch.num.messages": 7, "compression.codec": "zstd"}
    if len(sys.argv) > 5:
        settings["transactional.id"] = sys.argv[5]
    p, failed = Producer(settings), []
    if len(sys.argv) > 5:
        p.init_transactions()
        p.begin_transaction()
    for i in range(int(sys.argv[4])):
        p.produce(topic, "v%d" % i, "k%d" % i, i % 2, on_delivery=lambda err, msg: err and failed.append(err.name()))
        p.poll(0)
        if i % 50 == 49:
            time.sleep(0.005)
    p.flush()
    if len(sys.argv) > 5:
        p.commit_transaction()
    print(failed or "all sent")
elif mode == "consume":
    consume(int(sys.argv[4]))
else:
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        p = Producer({"bootstrap.servers": address, "compression.codec": codec, "enable.idempotence": True, "linger.ms": 20})
        for i in range(4):
            p.produce(topic, codec + str(i) * 100, "k%d" % i, i % 2)
        p.flush()
    p = Producer({"bootstrap.servers": address, "acks": 0, "linger.ms": 0})
    p.produce(topic, "unheard", None, 0)
    p.flush()
    p = Producer({"bootstrap.servers": address, "transactional.id": "tx-" + topic})
    p.init_transactions()
    for end in ["commit", "abort"]:
        p.begin_transaction()
        p.produce(topic, end, "tx", 1)
        p.flush()
        p.commit_transaction() if end == "commit" else p.abort_transaction()
    consume(22)
    consume(23, "read_uncommitted")
