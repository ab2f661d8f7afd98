package drivers

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/amqp"
	"faultbox/protocols/mongodb"
	"faultbox/protocols/nats"
	"faultbox/protocols/redis"
)

// jvmClient runs a program of testdata/jvm and returns the lines that it printed
// of each address.
func jvmClient(t testing.TB, program string, addrs ...string) [][]string {
	t.Helper()
	cached(t, "jvm/complete", ".ci/deps.d/jvm.sh")
	jars := filepath.Join(cached(t, "jvm/lib", ".ci/deps.d/jvm.sh"), "*")
	out := command(t, lookPath(t, "java", "default-jdk-headless"), append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Djava.util.logging.config.file=/dev/null", "-cp", jars, filepath.Join("testdata/jvm", program)}, addrs...)...)
	var each [][]string
	for range addrs {
		end := slices.Index(out, "--")
		if end < 0 {
			t.Fatalf("%s has not come to its end: %q", program, out)
		}
		each, out = append(each, out[:end]), out[end+1:]
	}
	return each
}

// jvmFault is a fault and how a line begins that the client prints of it.
type jvmFault struct {
	name  string
	match []string
	fault intercept.Fault
	want  string
}

// jvmCompare has a program do its work directly, through an edge whose rule
// never matches, and under each fault.
func jvmCompare(t *testing.T, p *protocols.Protocol, server, field, client, program string, features []string, faults []jvmFault) {
	Compared(t, p, server, client, features...)
	armed, quietLog := Front(t, p, server, never(t, p, field))
	addrs, logs := []string{server, armed}, []*Log{}
	for _, f := range faults {
		Struck(t, p, server, client, f.name)
		addr, log := Front(t, p, server, intercept.Rule{Match: Match(t, p, f.match...), Fault: f.fault})
		addrs, logs = append(addrs, addr), append(logs, log)
	}
	saw := jvmClient(t, program, addrs...)
	if len(saw[0]) < 5 {
		t.Errorf("the client saw next to nothing: %q", saw[0])
	}
	equalLines(t, saw[0], saw[1])
	if len(quietLog.Events()) == 0 || len(quietLog.Notes()) > 0 {
		t.Errorf("%d events, notes %q", len(quietLog.Events()), quietLog.Notes())
	}
	for i, f := range faults {
		if !slices.ContainsFunc(saw[i+2], func(line string) bool { return strings.HasPrefix(line, f.want) }) {
			t.Errorf("%s: no line begins with %s in\n%s", f.name, f.want, strings.Join(saw[i+2], "\n"))
		}
		if slices.ContainsFunc(saw[0], func(line string) bool { return strings.HasPrefix(line, f.want) }) {
			t.Errorf("%s: %s is there without a fault as well", f.name, f.want)
		}
		if logs[i].Tally()[0].Acted() == 0 {
			t.Errorf("%s: the rule has not acted", f.name)
		}
	}
}

func javaAMQP(t *testing.T, server string) {
	jvmCompare(t, amqp.Protocol, server, "topic", "amqp-client (Java)", "Amqp.java",
		[]string{"declare, bind, publish, get", "consume", "confirms", "mandatory, return", "transactions", "errors that close channels"},
		[]jvmFault{
			{"nack", []string{"topic", "a.7", "method", "basic.publish"}, amqpFault("disk full", ""), "[confirmed, false [8]]"},
			{"lost", []string{"topic", "a.7", "method", "basic.publish"}, intercept.Fault{Do: intercept.Lose}, "[cancel, 299]"},
			{"a delivery comes twice", []string{"topic", "a.7", "method", "basic.deliver"}, intercept.Fault{Do: intercept.Twice}, "[cancel, 301]"},
			{"channel closed", []string{"method", "queue.declare", "key", "none"}, amqpFault("", "403"),
				"[no queue, channel, #method<channel.close>(reply-code=403, reply-text=ACCESS_REFUSED - access to queue 'none' in vhost '/' refused"},
			{"commit", []string{"method", "tx.commit"}, amqpFault("it broke", "406"), "[commit, channel, #method<channel.close>(reply-code=406, reply-text=PRECONDITION_FAILED - it broke"},
			{"connection closed", []string{"method", "exchange.delete"}, amqpFault("", "541"), "[delete, connection, #method<connection.close>(reply-code=541, reply-text=INTERNAL_ERROR"},
		})
}

func TestJavaRedis(t *testing.T) {
	jvmCompare(t, redis.Protocol, Redis(t), "key", "Jedis, Lettuce", "Redis.java",
		[]string{"commands, RESP2 and RESP3", "a pipeline of 3,000", "MULTI/EXEC", "SUBSCRIBE, PSUBSCRIBE", "a blocking command", "errors"},
		[]jvmFault{
			{"error", []string{"command", "HGETALL"}, redisError("LOADING Redis is loading the dataset in memory", ""), "[hash, JedisDataException, LOADING Redis is loading"},
			{"error, Lettuce", []string{"command", "HGETALL"}, redisError("LOADING Redis is loading the dataset in memory", ""), "[hash, RedisLoadingException, LOADING Redis is loading"},
			{"read only", []string{"command", "SET", "key", "a"}, redisError("", "READONLY"), "[set, RedisReadOnlyException, READONLY"},
			{"nil", []string{"command", "GET", "key", "a"}, redisValue(nil), "[get, nullnull]"},
			{"error on a queued command", []string{"command", "INCR"}, redisError("disk full", ""), "[transaction, JedisDataException, EXECABORT"},
			{"dropped", []string{"command", "ZADD"}, intercept.Fault{Do: intercept.Close}, "[zset, JedisConnectionException"},
		})
}

func TestJavaMongo(t *testing.T) {
	on := func(collection string) []string { return []string{"key", collection, "method", "insert"} }
	jvmCompare(t, mongodb.Protocol, MongoDB(t), "collection", "mongodb-driver-sync (Java)", "Mongo.java",
		[]string{"insert, update, delete, findAndModify", "batches of 2,500", "cursors", "documents of 3 MB", "errors"},
		[]jvmFault{
			{"not primary", on("primary"), mongoFault("not primary", ""), "[primary, MongoNotPrimaryException, 10107"},
			{"write conflict", on("conflict"), mongoFault("write conflict", ""), "[conflict, MongoCommandException, 112, WriteConflict, [TransientTransactionError"},
			{"duplicate key", on("duplicate"), mongoFault("duplicate key", ""), "[duplicate, MongoWriteException, 11000"},
			{"time limit", on("slow"), mongoFault("operation exceeded time limit", ""), "[slow, MongoExecutionTimeoutException, 50"},
			{"write concern", on("concern"), after(mongoFault("waiting for replication timed out", "")), "[concern, MongoWriteConcernException, 64"},
			{"denied", on("denied"), mongoFault("not authorized on work", ""), "[denied, MongoCommandException, 13, Unauthorized"},
			{"dropped", on("dropped"), intercept.Fault{Do: intercept.Close}, "[dropped, MongoSocketReadException"},
		})
}

func TestJavaNATS(t *testing.T) {
	pub := func(subject string) []string { return []string{"topic", subject, "method", "PUB"} }
	jvmCompare(t, nats.Protocol, NATS(t), "topic", "jnats (Java)", "Nats.java",
		[]string{"publish, subscribe, headers, payloads of 900 KB", "300 requests at once, no responders", "JetStream: publish, errors"},
		[]jvmFault{
			{"no responders", pub("j2.echo"), natsError("", ""), "[request, CancellationException"},
			{"JetStream: disk full", pub("*.full"), natsError("disk full", ""), "[full, JetStreamApiException, disk full [10047]]"},
			{"permissions violation", pub("j.denied"), natsError("", ""), "[error, Permissions Violation"},
			{"drop", pub("j.c"), intercept.Fault{Do: intercept.Lose}, "[next, nothing]"},
		})
}
