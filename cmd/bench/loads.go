package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	redisPort    = 6379
	postgresPort = 5432
	toxiShift    = 20000 // toxiproxy listens this much above the server
)

// load is one client program with a way to read its result.
type load struct {
	name, unit string
	port       int
	protocol   string
	args       func(port int, dir string) []string
	result     func(out, dir string) (float64, error)
}

func loads(scale float64) []load {
	redis := func(name, unit string, read func(string, string) (float64, error), args ...string) load {
		return load{name, unit, redisPort, "redis", func(port int, _ string) []string {
			return append([]string{"redis-benchmark", "-p", strconv.Itoa(port), "-t", "get", "--csv"}, args...)
		}, read}
	}
	pg := func(name, unit string, read func(string, string) (float64, error), args ...string) load {
		return load{name, unit, postgresPort, "postgres", func(port int, dir string) []string {
			return append([]string{"pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "postgres", "-n", "-S"}, append(pgLog(args, dir), "postgres")...)
		}, read}
	}
	n := func(full float64) string { return strconv.Itoa(int(full * scale)) }
	return []load{
		redis("redis-benchmark -c 50 -P 1", "req/s", csvField(1), "-c", "50", "-n", n(200_000)),
		redis("redis-benchmark -c 50 -P 16", "req/s", csvField(1), "-c", "50", "-P", "16", "-n", n(2_000_000)),
		redis("redis-benchmark -c 1, p50", "ms", csvField(4), "-c", "1", "-n", n(40_000), "--precision", "3"),
		pg("pgbench -c 8 -M simple", "tps", tps, "-c", "8", "-j", "2", "-M", "simple", "-t", n(4000)),
		pg("pgbench -c 8 -M prepared", "tps", tps, "-c", "8", "-j", "2", "-M", "prepared", "-t", n(6000)),
		pg("pgbench -c 1 -M prepared, p50", "µs", logMedian, "-c", "1", "-M", "prepared", "-l", "-t", n(10_000)),
	}
}

// pgLog says where pgbench logs its transactions, if it does.
func pgLog(args []string, dir string) []string {
	if slices.Contains(args, "-l") {
		args = append(slices.Clone(args), "--log-prefix="+dir+"/pgbench")
	}
	return args
}

// csvField reads a field of redis-benchmark's last CSV line:
// "test","rps","avg","min","p50","p95","p99","max".
func csvField(i int) func(out, dir string) (float64, error) {
	return func(out, _ string) (float64, error) {
		for _, line := range slices.Backward(strings.Split(strings.TrimSpace(out), "\n")) {
			f := strings.Split(line, ",")
			if len(f) > i && strings.Contains(f[0], "GET") {
				return strconv.ParseFloat(strings.Trim(f[i], `"`), 64)
			}
		}
		return 0, fmt.Errorf("read redis-benchmark's result: no line for GET in %q", out)
	}
}

var (
	tpsLine    = regexp.MustCompile(`tps = ([0-9.]+) \(without`)
	failedLine = regexp.MustCompile(`failed transactions: ([0-9]+)`)
)

// tps reads pgbench's transactions per second and insists that none failed.
func tps(out, _ string) (float64, error) {
	m, failed := tpsLine.FindStringSubmatch(out), failedLine.FindStringSubmatch(out)
	if m == nil || failed == nil || failed[1] != "0" {
		return 0, fmt.Errorf("read pgbench's result: %q", out)
	}
	return strconv.ParseFloat(m[1], 64)
}

// logMedian reads the median latency from pgbench's per-transaction log:
// client, transaction, latency in µs, …
func logMedian(out, dir string) (float64, error) {
	if _, err := tps(out, dir); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var us []float64
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "pgbench.") {
			continue
		}
		b, err := os.ReadFile(dir + "/" + e.Name())
		if err != nil {
			return 0, err
		}
		os.Remove(dir + "/" + e.Name())
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 2 {
				if v, err := strconv.ParseFloat(f[2], 64); err == nil {
					us = append(us, v)
				}
			}
		}
	}
	if len(us) == 0 {
		return 0, fmt.Errorf("read pgbench's log: nothing in %s", dir)
	}
	return median(us), nil
}
