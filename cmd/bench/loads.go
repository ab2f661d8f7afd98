package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// load is one client program with a way to read its result.
type load struct {
	name, unit string
	server     *server
	protocol   string
	requests   int // in one measurement
	needs      []need
	args       func(port int, dir string) []string
	result     func(out, dir string) (float64, error)
}

func loads(scale float64) []load {
	n := func(full float64) int { return max(1, int(full*scale)) }
	return []load{
		redisLoad("redis-benchmark -c 50 -P 1", n(200_000), "-c", "50"),
		redisLoad("redis-benchmark -c 50 -P 16", n(2_000_000), "-c", "50", "-P", "16"),
		redisLoad("redis-benchmark -c 1, p50", n(40_000), "-c", "1", "--precision", "3").median("ms", csvField(4)),
		pgLoad("pgbench -c 8 -M simple", n(4000), 8, "-M", "simple"),
		pgLoad("pgbench -c 8 -M prepared", n(6000), 8, "-M", "prepared"),
		pgLoad("pgbench -c 1 -M prepared, p50", n(10_000), 1, "-M", "prepared", "-l").median("µs", logMedian),
	}
}

// median has a load's result be the median latency.
func (l load) median(unit string, read func(out, dir string) (float64, error)) load {
	l.unit, l.result = unit, read
	return l
}

func redisLoad(name string, requests int, args ...string) load {
	return load{name, "req/s", redisServer, "redis", requests, nil, func(port int, _ string) []string {
		return append([]string{"redis-benchmark", "-p", strconv.Itoa(port), "-t", "get", "--csv", "-n", strconv.Itoa(requests)}, args...)
	}, csvField(1)}
}

// pgLoad has each of clients do its part of the transactions.
func pgLoad(name string, each, clients int, args ...string) load {
	return load{name, "tps", postgresServer, "postgres", each * clients, nil, func(port int, dir string) []string {
		common := []string{"pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "postgres", "-n", "-S",
			"-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), "-t", strconv.Itoa(each)}
		return append(common, append(pgLog(args, dir), "postgres")...)
	}, tps}
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
