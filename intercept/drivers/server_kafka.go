package drivers

import (
	"cmp"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// kafkaVersion is the Apache Kafka that .ci/deps.d/kafka.sh installs. 3.9 is the
// last that knows the versions of old clients; 4.1 the first in which a Produce
// names topics by their ids.
var kafkaVersion = cmp.Or(os.Getenv("KAFKA_VERSION"), "3.9.1")

// oldKafka reports whether brokers answer clients from before Kafka 2.1.
func oldKafka() bool { return strings.HasPrefix(kafkaVersion, "3.") }

//go:embed testdata/kafka/Cluster.java
var clusterJava []byte

// Kafka starts an Apache Kafka cluster (KRaft, one JVM) for the test and
// returns its brokers' addresses, which are also those that they advertise.
func Kafka(t testing.TB, brokers int) (addrs []string) {
	for range brokers {
		addrs = append(addrs, "127.0.0.1:"+FreePort(t))
	}
	startKafka(t, nil, "127.0.0.1:"+FreePort(t), addrs...)
	return addrs
}

// KafkaBehind starts one broker that has a second listener, at inner. To who
// comes by that one it advertises outer(inner): the address of a front.
func KafkaBehind(t testing.TB, outer func(inner string) string) (direct, fronted string) {
	direct = "127.0.0.1:" + FreePort(t)
	inner := "127.0.0.1:" + FreePort(t)
	fronted = outer(inner)
	startKafka(t, nil, "127.0.0.1:"+FreePort(t), direct+","+inner+"="+fronted)
	return direct, fronted
}

// startKafka runs testdata/kafka/Cluster.java; see there. prefix goes before
// the command.
func startKafka(t testing.TB, prefix []string, controller string, brokers ...string) {
	t.Helper()
	dir := folder(t, "")
	source := filepath.Join(dir, "Cluster.java")
	if err := os.WriteFile(source, clusterJava, 0o644); err != nil {
		t.Fatal(err)
	}
	args := append(prefix, lookPath(t, "java", "default-jdk-headless"), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", kafkaJars(t), source, dir, controller)
	cmd := exec.Command(args[0], append(args[1:], brokers...)...)
	if _, err := cmd.StdinPipe(); err != nil { // it ends when we do
		t.Fatal(err)
	}
	run(t, cmd, syscall.SIGTERM, func() error {
		_, err := os.Stat(filepath.Join(dir, "ready"))
		return err
	})
	for _, b := range brokers {
		addr, _, _ := strings.Cut(b, ",")
		serves(addr, "Apache Kafka "+kafkaVersion, "")
	}
}

// kafkaJars returns the class path with Apache Kafka, or skips the test.
func kafkaJars(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache folder for Apache Kafka: %v", err)
	}
	dir := filepath.Join(cache, "faultbox-tests", "kafka-"+kafkaVersion)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err != nil {
		t.Skipf("needs Apache Kafka %s: .ci/deps.d/kafka.sh", kafkaVersion)
	}
	return filepath.Join(dir, "lib", "*")
}

// java runs a Java source file with Apache Kafka's own client on its class
// path, and returns the lines that it printed.
func java(t testing.TB, source string, args ...string) []string {
	t.Helper()
	args = append([]string{"-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", kafkaJars(t), source}, args...)
	out, err := exec.CommandContext(t.Context(), lookPath(t, "java", "default-jdk-headless"), args...).Output()
	if err != nil {
		t.Fatalf("java %s: %v\n%s", source, err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
