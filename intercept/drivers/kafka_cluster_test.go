//go:build linux

package drivers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols/kafka"
)

// TestKafkaCluster runs three brokers that advertise their own addresses, and
// clients that are told one of them: the others are known from its answers
// alone. Every connection to a broker is intercepted all the same.
func TestKafkaCluster(t *testing.T) {
	interceptor := redirect.New()
	t.Cleanup(func() { interceptor.Close() })
	if err := interceptor.Supported(); err != nil {
		t.Skip("needs root, cgroup2 and Linux 5.15: ", err)
	}
	ns, name := namespace(t)
	brokers := []string{"127.0.0.11:9092", "127.0.0.12:9092", "127.0.0.13:9092"}
	startKafka(t, []string{"ip", "netns", "exec", name}, "127.0.0.11:9093", brokers...)
	b := &kafkaBed{direct: brokers[0], log: &Log{Rules: intercept.NewRules(1), start: time.Now()}}
	b.opts = []kgo.Opt{kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return redirect.Dial(ctx, ns, network, addr)
	})}
	b.connect(t)

	group := cgroup(t)
	target := intercept.Target{Name: From, Cgroup: group, NetNS: ns}
	protocol := kafka.Protocol.OfSystem()
	for i, addr := range brokers {
		target.Peers = append(target.Peers, intercept.Peer{To: To, Interface: fmt.Sprint("broker", i+1), Protocol: protocol, Addr: netip.MustParseAddrPort(addr)})
	}
	attachment, err := interceptor.Attach(t.Context(), target, b.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { attachment.Close() })

	for client, run := range clusterClients(t, name, group) {
		t.Run(client, func(t *testing.T) {
			Struck(t, kafka.Protocol, brokers[0], client, "three brokers, addresses untouched: drop on the second and third")
			b.loseOnBrokers(t, run)
		})
	}
	if notes := b.log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// loseOnBrokers loses what is produced to the second broker and what is fetched
// from the third; the clients know the first.
func (b *kafkaBed) loseOnBrokers(t *testing.T, run func(t testing.TB, args ...string) []string) {
	topic := fmt.Sprintf("t%d", topicNumber.Add(1))
	req := kmsg.NewPtrCreateTopicsRequest()
	made := kmsg.NewCreateTopicsRequestTopic()
	made.Topic, made.NumPartitions, made.ReplicationFactor = topic, -1, -1
	for p, replicas := range [][]int32{{2, 3, 1}, {3, 1, 2}} {
		made.ReplicaAssignment = append(made.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(p), Replicas: replicas})
	}
	req.Topics = append(req.Topics, made)
	if _, err := req.RequestWith(t.Context(), b.client); err != nil {
		t.Fatal(err)
	}
	b.await(t, topic, 2)

	lose := kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce", "key", "k*4")
	lose.Interface = "broker2"
	skip := kafkaRule(t, intercept.Lose, "topic", topic, "method", "Fetch", "key", "k*5")
	skip.Interface = "broker3"
	other := kafkaRule(t, intercept.Lose, "topic", topic, "key", "*") // the first leads nothing
	other.Interface = "broker1"
	b.arm(t, lose, skip, other)

	if told := run(t, "pipeline", b.direct, topic, "40"); told[len(told)-1] != "all sent" {
		t.Errorf("the producer was told %q", told)
	}
	var stored, heard []string
	for i := range 40 {
		line := fmt.Sprintf("k%d=v%d", i, i)
		if i%10 == 4 {
			continue
		}
		stored = append(stored, line)
		if i%10 != 5 {
			heard = append(heard, line)
		}
	}
	got := strings.Fields(values(b.stored(t, topic, false)))
	slices.Sort(got)
	slices.Sort(stored)
	if !slices.Equal(got, stored) {
		t.Errorf("stored %q, want %q", got, stored)
	}
	got = strings.Fields(values(messagesIn(run(t, "consume", b.direct, topic, fmt.Sprint(len(heard))))))
	slices.Sort(got)
	slices.Sort(heard)
	if !slices.Equal(got, heard) {
		t.Errorf("consumed %q, want %q", got, heard)
	}
}

// clusterClients are clients that run in a network namespace and a cgroup.
func clusterClients(t *testing.T, namespace, group string) map[string]func(t testing.TB, args ...string) []string {
	franzGo := filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("go", "build", "-o", franzGo, "testdata/kafka/client.go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	js, err := os.ReadFile("testdata/kafka/client.js")
	if err != nil {
		t.Fatal(err)
	}
	modules := npm(t, "kafka", "kafkajs")
	jars := kafkaJars(t)
	in := func(command ...string) func(t testing.TB, args ...string) []string {
		return func(t testing.TB, args ...string) []string {
			dir, err := os.Open(group)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "ip", slices.Concat([]string{"netns", "exec", namespace}, command, args)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v\n%s", args, err, tail(out))
			}
			return strings.Split(strings.TrimSpace(string(out)), "\n")
		}
	}
	return map[string]func(t testing.TB, args ...string) []string{
		"franz-go":        in(franzGo),
		"Java client":     in("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", jars, "testdata/kafka/Client.java"),
		"kafkajs":         in("node", "-e", string(js), "--", "script"),
		"confluent-kafka": in("/usr/bin/python3", "testdata/kafka/client.py"),
	}
}

// namespace makes a network namespace for the test.
func namespace(t *testing.T) (ns *os.File, name string) {
	ip := lookPath(t, "ip", "iproute2")
	name = fmt.Sprintf("fbkafka%d", os.Getpid())
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() { exec.Command(ip, "netns", "del", name).Run() })
	ns, err := os.Open("/run/netns/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns, name
}

// cgroup makes a cgroup for the test's clients.
func cgroup(t *testing.T) (dir string) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if mount, fs, _ := strings.Cut(line, " - "); strings.HasPrefix(fs, "cgroup2 ") {
			dir = filepath.Join(strings.Fields(mount)[4], fmt.Sprintf("kafka-test-%d", os.Getpid()))
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 { // the last process may still be on its way out
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("cgroup %s can't be removed", dir)
	})
	return dir
}
