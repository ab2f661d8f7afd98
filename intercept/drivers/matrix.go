package drivers

import (
	"cmp"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"faultbox/protocols"
)

// The driver matrix: what the tests that ran have compared, and what came of it.
var matrix = struct {
	sync.Mutex
	servers  map[string]string // by address: product and version
	versions map[string]string // by program
	cells    []*cell
}{servers: map[string]string{}, versions: map[string]string{}}

// cell is one comparison.
type cell struct {
	protocol, server, client string
	feature                  string // what the client did, or the fault that struck it
	fault                    bool
	result                   result
}

type result string

const (
	same    result = "same"
	differs result = "differs"
	skipped result = "skipped"
	missing result = "–"
)

// Compared enters into the driver matrix that t compares what a client sees of
// a server directly with what it sees through an edge whose rules never match,
// while it makes use of those features. If t fails they count as different.
func Compared(t testing.TB, p *protocols.Protocol, server, client string, features ...string) {
	enter(t, p, server, client, false, features)
}

// Struck enters into the driver matrix that t compares what a client reports of
// faults with what the real server would make it report, and what the server has
// done with what it should. If t fails they count as different.
func Struck(t testing.TB, p *protocols.Protocol, server, client string, faults ...string) {
	enter(t, p, server, client, true, faults)
}

func enter(t testing.TB, p *protocols.Protocol, server, client string, fault bool, features []string) {
	matrix.Lock()
	defer matrix.Unlock()
	var entered []*cell
	for _, f := range features {
		entered = append(entered, &cell{p.Name, cmp.Or(matrix.servers[server], "?"), client, f, fault, missing})
	}
	matrix.cells = append(matrix.cells, entered...)
	t.Cleanup(func() {
		r := same
		if t.Failed() {
			r = differs
		} else if t.Skipped() {
			r = skipped
		}
		matrix.Lock()
		defer matrix.Unlock()
		for _, c := range entered {
			c.result = r
		}
	})
}

// serves says which product listens at addr. If the version is unknown it is
// what the program says of itself when called with args.
func serves(addr, product, program string, args ...string) {
	matrix.Lock()
	defer matrix.Unlock()
	if program != "" {
		v, known := matrix.versions[program]
		if !known {
			out, _ := exec.Command(program, args...).CombinedOutput()
			v = regexp.MustCompile(`\d+(\.\d+)+`).FindString(string(out))
			matrix.versions[program] = v
		}
		product += " " + v
	}
	matrix.servers[addr] = product
}

// WriteMatrix writes the driver matrix as tables in Markdown, two per protocol,
// and a line that sums them up.
func WriteMatrix(w io.Writer) error {
	matrix.Lock()
	defer matrix.Unlock()
	var b strings.Builder
	var sum [2]int
	counts := map[result]int{}
	clients, servers := map[string]bool{}, map[string]bool{}
	for _, c := range matrix.cells {
		counts[c.result]++
		sum[b2i(c.fault)]++
		clients[c.client], servers[c.server] = true, true
	}
	protocols := distinct(matrix.cells, func(c *cell) string { return c.protocol })
	slices.Sort(protocols)
	for _, p := range protocols {
		fmt.Fprintf(&b, "## %s\n\n", p)
		for _, fault := range []bool{false, true} {
			table(&b, slices.DeleteFunc(slices.Clone(matrix.cells), func(c *cell) bool { return c.protocol != p || c.fault != fault }), fault)
		}
	}
	fmt.Fprintf(&b, "%d features and %d faults compared: %d clients, %d servers, %d protocols; %d differ, %d skipped, %d unfinished\n",
		sum[0], sum[1], len(clients), len(servers), len(protocols), counts[differs], counts[skipped], counts[missing])
	_, err := io.WriteString(w, b.String())
	return err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// table writes a row for each client and feature, a column for each server.
func table(b *strings.Builder, cells []*cell, fault bool) {
	if len(cells) == 0 {
		return
	}
	servers := distinct(cells, func(c *cell) string { return c.server })
	slices.Sort(servers)
	lines := [][]string{append([]string{"client", map[bool]string{false: "feature", true: "fault"}[fault]}, servers...)}
	type row struct{ client, feature string }
	rows := distinct(cells, func(c *cell) row { return row{c.client, c.feature} })
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.feature, b.feature)) })
	for _, r := range rows {
		line := []string{r.client, r.feature}
		for _, s := range servers {
			line = append(line, verdict(cells, func(c *cell) bool { return c.client == r.client && c.feature == r.feature && c.server == s }, fault))
		}
		lines = append(lines, line)
	}
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	for n, line := range lines {
		for i, text := range line {
			fmt.Fprintf(b, "| %-*s ", width[i], text)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	b.WriteString("\n")
}

// verdict is the worst result of the cells that count.
func verdict(cells []*cell, counts func(*cell) bool, fault bool) string {
	worst := missing
	for _, r := range []result{same, skipped, differs} {
		if slices.ContainsFunc(cells, func(c *cell) bool { return counts(c) && c.result == r }) {
			worst = r
		}
	}
	if worst == same && fault {
		return "as the server"
	}
	return string(worst)
}

// distinct returns the values of key, in the order of their first occurrence.
func distinct[K comparable](cells []*cell, key func(*cell) K) (out []K) {
	seen := map[K]bool{}
	for _, c := range cells {
		if k := key(c); !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}
