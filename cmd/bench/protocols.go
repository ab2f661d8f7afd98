package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// protocolLoads has a load or two for each protocol.
func protocolLoads(scale float64) []load {
	n := func(full float64) int { return max(8, int(full*scale)) &^ 7 } // a multiple of 8, the clients
	s := strconv.Itoa
	h2load := []need{{"h2load", "nghttp2-client"}}
	return []load{
		redisLoad("redis: redis-benchmark -c 50 -P 1", n(200_000), "-c", "50"),
		redisLoad("redis: redis-benchmark -c 50 -P 16", n(2_000_000), "-c", "50", "-P", "16"),
		pgLoad("postgres: pgbench -c 8 -M simple", n(4000), 8, "-M", "simple"),
		pgLoad("postgres: pgbench -c 8 -M prepared", n(6000), 8, "-M", "prepared"),
		{"mysql: sysbench oltp_point_select, 8 threads", "tps", mariadbServer, "mysql", n(40_000), nil, func(port int, _ string) []string {
			return append(sysbench(port, 8, n(40_000)), "run")
		}, number(`transactions:\s+\d+\s+\(([0-9.]+) per sec`)},
		{"memcached: memcslap get, 8 threads", "req/s", memcachedServer, "memcached", n(200_000), []need{{"memcslap", "libmemcached-tools"}}, func(port int, _ string) []string {
			return []string{"memcslap", "--servers=127.0.0.1:" + s(port), "--concurrency=8", "--execute-number=" + s(n(200_000)/8), "--test=get"}
		}, slapped(n(200_000))},
		{"nats: nats bench pub, 128 B", "msg/s", natsServer, "nats", n(1_000_000), []need{{"nats", "go install github.com/nats-io/natscli/nats@latest"}}, func(port int, _ string) []string {
			return []string{"nats", "--server=nats://127.0.0.1:" + s(port), "bench", "pub", "bench", "--clients=2", "--size=128", "--no-progress", "--msgs=" + s(n(1_000_000))}
		}, number(`stats: ([0-9,.]+) msgs/sec`)},
		{"http: h2load --h1 -c 8", "req/s", http1Server, "http", n(100_000), h2load, func(port int, _ string) []string {
			return []string{"h2load", "--h1", "-c", "8", "-n", s(n(100_000)), "http://127.0.0.1:" + s(port) + "/"}
		}, h2loaded(n(100_000))},
		{"http2: h2load -c 8 -m 10", "req/s", http2Server, "http2", n(200_000), h2load, func(port int, _ string) []string {
			return []string{"h2load", "-c", "8", "-m", "10", "-n", s(n(200_000)), "http://127.0.0.1:" + s(port) + "/"}
		}, h2loaded(n(200_000))},
		{"grpc: ghz unary, 8 callers on 2 connections", "req/s", grpcServer, "grpc", n(40_000), []need{{"ghz", "go install github.com/bojand/ghz/cmd/ghz@v0.120.0"}}, func(port int, _ string) []string {
			return []string{"ghz", "--insecure", "--call=grpc.testing.TestService/EmptyCall", "--concurrency=8", "--connections=2", "--total=" + s(n(40_000)), "127.0.0.1:" + s(port)}
		}, called(n(40_000))},
		own("kafka: franz-go produce, 8 producers", "kafka", kafkaServer, n(16_000)),
		own("amqp: amqp091-go publish and consume, 8 connections", "amqp", rabbitmqServer, n(40_000)),
		own("mongodb: mongo-driver find by _id, 8 callers", "mongodb", mongodbServer, n(24_000)),
	}
}

// own is a load of this program's own: see clients.go.
func own(name, protocol string, s *server, requests int) load {
	return load{name, "req/s", s, protocol, requests, nil, func(port int, _ string) []string {
		program, err := os.Executable()
		if err != nil {
			program = os.Args[0]
		}
		return []string{program, "self", "load", protocol, strconv.Itoa(port), strconv.Itoa(requests)}
	}, number(`^([0-9.e+]+) req/s`)}
}

func sysbench(port, threads, events int) []string {
	return []string{"sysbench", "oltp_point_select", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=" + strconv.Itoa(port),
		"--mysql-user=root", "--mysql-db=sbtest", "--mysql-ssl=off", "--tables=1", "--table-size=10000", "--time=0",
		"--threads=" + strconv.Itoa(threads), "--events=" + strconv.Itoa(events)}
}

// number reads a number that a program prints behind other words.
func number(pattern string) func(out, _ string) (float64, error) {
	re := regexp.MustCompile(`(?m)` + pattern)
	return func(out, _ string) (float64, error) {
		m := re.FindStringSubmatch(out)
		if m == nil {
			return 0, fmt.Errorf("read a result: no %s in %q", pattern, out)
		}
		return strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
	}
}

// slapped reads memcslap's result: for how long it read the n keys.
func slapped(n int) func(out, dir string) (float64, error) {
	seconds := number(`Time to get.*?([0-9.]+) seconds`)
	return func(out, dir string) (float64, error) {
		v, err := seconds(out, dir)
		return float64(n) / v, err
	}
}

// h2loaded reads h2load's result and insists that all n were answered with 200.
func h2loaded(n int) func(out, dir string) (float64, error) {
	rate := number(`finished in .*?, ([0-9.]+) req/s`)
	return func(out, dir string) (float64, error) {
		if !strings.Contains(out, fmt.Sprintf("status codes: %d 2xx", n)) {
			return 0, fmt.Errorf("read h2load's result: not %d answers of 200 in %q", n, out)
		}
		return rate(out, dir)
	}
}

// called reads ghz's result and insists that all n calls were answered.
func called(n int) func(out, dir string) (float64, error) {
	rate := number(`Requests/sec:\s+([0-9.]+)`)
	ok := regexp.MustCompile(fmt.Sprintf(`\[OK\]\s+%d responses`, n))
	return func(out, dir string) (float64, error) {
		if !ok.MatchString(out) {
			return 0, fmt.Errorf("read ghz's result: not %d answers that are OK in %q", n, out)
		}
		return rate(out, dir)
	}
}
