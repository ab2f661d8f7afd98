package syscalls

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// unwatchable are the calls that cannot be held up: the kernel makes them on a
// program's behalf when a signal handler returns, or they never return.
var unwatchable = []string{"rt_sigreturn", "exit", "exit_group", "restart_syscall"}

// Check returns nil for the name of a family of calls or of a call that this
// machine has, else an error that suggests one.
func Check(name string) error {
	calls := intercept.SyscallNames(name)
	for _, call := range calls {
		if slices.Contains(unwatchable, call) {
			return fmt.Errorf("`%s` cannot be faulted: it never returns to the program that makes it", name)
		}
	}
	m := machine()
	if m == nil {
		return fmt.Errorf("`%s`: system calls can be faulted on amd64 and arm64 only", name)
	}
	if slices.ContainsFunc(calls, func(c string) bool { return m.number[c] != nil }) {
		return nil
	}
	for other := range numbers {
		if a := newABI(other); a.number[calls[0]] != nil {
			return fmt.Errorf("`%s` is a system call of %s; this machine (%s) has none of that name", name, other, m.name)
		}
	}
	return fmt.Errorf("there is no system call `%s`%s", name, suggest(name, Names()))
}

// Names returns the names of all families and calls that rules can name, sorted.
func Names() []string {
	names := intercept.SyscallFamilies()
	for call := range machine().number {
		if !slices.Contains(unwatchable, call) {
			names = append(names, call)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// expand returns the calls that names, families among them, stand for.
func expand(names []string) []string {
	var calls []string
	for _, name := range names {
		calls = append(calls, intercept.SyscallNames(name)...)
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// suggest returns "; did you mean `x`?" for the name nearest to a misspelt one,
// "" if none is near.
func suggest(name string, known []string) string {
	name = strings.ToLower(name)
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean `%s`?", best)
}

// distance counts the letters to insert, delete, replace or swap between a and b.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// ErrnoName returns the name of an error as errno(3) has it.
func ErrnoName(errno int) string { return unix.ErrnoName(unix.Errno(errno)) }
