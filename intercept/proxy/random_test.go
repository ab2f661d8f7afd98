package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Random pipelines, cut anywhere, with faults among them: the client reads, and
// the server hears, exactly what follows from what was asked.
func TestRandomPipelines(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		for seed := range uint64(150) {
			randomPipeline(t, p, seed)
		}
	})
}

func randomPipeline(t *testing.T, p *protocols.Protocol, seed uint64) {
	no := &protocols.Reply{Message: "no"}
	after := intercept.After
	b := newBed(t, p, answer,
		on("bad", intercept.Fault{Do: intercept.Answer, Reply: no}),
		on("late", intercept.Fault{Do: intercept.Answer, Reply: no, When: after}),
		on("lost", intercept.Fault{Do: intercept.Lose}),
		on("LOST", intercept.Fault{Do: intercept.Lose}),
		on("two", intercept.Fault{Do: intercept.Twice}),
		on("slow", intercept.Fault{Delay: 200 * time.Microsecond}),
		on("slower", intercept.Fault{Delay: 200 * time.Microsecond, When: after}),
		on("slowbad", intercept.Fault{Delay: 200 * time.Microsecond, Do: intercept.Answer, Reply: no}),
		on("blob", intercept.Fault{Delay: 200 * time.Microsecond, Do: intercept.Twice}),
	)
	ops := []string{"get", "get", "multi", "fail", "PUB", "bad", "late", "lost", "LOST", "two", "slow", "slower", "slowbad", "blob"}
	r := rand.New(rand.NewPCG(seed, 1))
	var ask strings.Builder
	var want, heard []string
	count := 1 + r.IntN(60)
	for id := 1; id <= count; id++ {
		op := ops[r.IntN(len(ops))]
		line := fmt.Sprintf("%d %s", id, op)
		tell := fmt.Sprintf("%d ok %s", id, op)
		times := 1
		switch op {
		case "multi":
			want = append(want, fmt.Sprintf("%d+ one", id), fmt.Sprintf("%d+ two", id))
			tell = fmt.Sprintf("%d three", id)
		case "fail":
			tell = fmt.Sprintf("%d -E1", id)
		case "PUB":
			tell = ""
		case "bad", "slowbad":
			tell, times = fmt.Sprintf("%d no", id), 0
		case "late":
			tell = fmt.Sprintf("%d no", id)
		case "lost", "LOST":
			tell, times = "", 0
		case "two":
			times = 2
		case "blob":
			n := r.IntN(100_000)
			line = fmt.Sprintf("%s %d", line, n)
			tell, times = fmt.Sprintf("%d took %d", id, n), 2
			ask.WriteString(line + "\n" + strings.Repeat("b", n))
		}
		if op != "blob" {
			ask.WriteString(line + "\n")
		}
		if tell != "" {
			want = append(want, tell)
		}
		for range times {
			heard = append(heard, line)
		}
	}
	want, heard = append(want, "0 eof"), append(heard, "EOF")
	go func() {
		for rest := ask.String(); len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), []int{3, 100, 1 << 20}[r.IntN(3)]))
			io.WriteString(b.client, rest[:n])
			rest = rest[n:]
		}
		b.client.CloseWrite()
	}()
	b.client.SetReadDeadline(time.Now().Add(30 * time.Second))
	all, err := io.ReadAll(b.in)
	if err != nil {
		t.Fatalf("seed %d: client reads %v; events %q", seed, err, b.h.seen())
	}
	got := strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
	if p.Multiplexed {
		got, want, heard = byID(got), byID(want), byID(heard)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: client reads\n%q, want\n%q; asked %.2000q", seed, got, want, ask.String())
	}
	<-b.served
	server := b.heard()
	if p.Multiplexed {
		server = byID(server)
	}
	if !slices.Equal(server, heard) {
		t.Fatalf("seed %d: server heard\n%q, want\n%q", seed, server, heard)
	}
	if n := len(b.h.seen()); n != count || len(b.h.noted()) > 0 {
		t.Fatalf("seed %d: %d events for %d requests, notes %q", seed, n, count, b.h.noted())
	}
	for _, ev := range b.h.seen() {
		if strings.Contains(ev, "broken") || strings.Contains(ev, "untouched") {
			t.Fatalf("seed %d: event %q", seed, ev)
		}
	}
}

// byID sorts lines by the ID that they begin with, and only by that: the order
// within an exchange counts.
func byID(lines []string) []string {
	id := func(s string) (n int) {
		fmt.Sscan(strings.SplitN(strings.TrimSpace(s), " ", 2)[0], &n)
		return n
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		return id(strings.ReplaceAll(a, "+", " ")) - id(strings.ReplaceAll(b, "+", " "))
	})
	return lines
}
