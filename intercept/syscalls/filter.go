package syscalls

import (
	"maps"
	"slices"
	"syscall"

	"faultbox/intercept"
)

// instruction is struct sock_filter (linux/filter.h).
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// Opcodes of classic BPF, and what a filter can return (seccomp(2)).
const (
	load        = 0x20 // A = *(u32 *)(data + k)
	jump        = 0x05 // pc += k
	jumpEqual   = 0x15
	jumpAtLeast = 0x35
	give        = 0x06

	giveErrno  = 0x00050000
	giveNotify = 0x7fc00000
	giveAllow  = 0x7fff0000

	offsetNumber = 0 // in struct seccomp_data
	offsetArch   = 4
)

// plan says what a filter does with calls.
type plan struct {
	watch []string       // names; the supervisor is asked
	deny  map[string]int // names and errnos; the kernel answers
}

// always are the calls that every filter watches, to explain why a program's
// own listener is refused and why a setuid program has no privileges.
var always = []string{"seccomp", "execve", "execveat"}

// turnedAway are the calls that would let others slip by: they do not exist.
var turnedAway = []string{"io_uring_setup", "io_uring_enter", "io_uring_register"}

// away returns the calls that are turned away: also those of io_submit(2), by
// which files are read, written and synced, if that is watched.
func (p plan) away() []string {
	done := slices.Concat(intercept.SyscallNames("read"), intercept.SyscallNames("write"), intercept.SyscallNames("fsync"))
	named := expand(slices.AppendSeq(slices.Clone(p.watch), maps.Keys(p.deny)))
	if slices.ContainsFunc(named, func(call string) bool { return slices.Contains(done, call) }) {
		return append([]string{"io_setup", "io_submit"}, turnedAway...)
	}
	return turnedAway
}

// program returns the filter. The kernel remembers for each call that is
// simply allowed that it need not run the filter again (from 5.11); the
// others find their number in a tree.
func (p plan) program() []instruction {
	native, narrow := machine(), compat()
	body := p.tree(native)
	prog := []instruction{{code: load, k: offsetArch}}
	prog = append(prog, unless(native.audit, body)...)
	if narrow != nil {
		prog = append(prog, unless(narrow.audit, p.tree(narrow))...)
	}
	return append(prog, ret(enosys)) // a way into the kernel that nobody here knows
}

const enosys = giveErrno | uint32(syscall.ENOSYS)

func ret(action uint32) instruction { return instruction{code: give, k: action} }

// unless skips body if A is not k. Only one byte is there for a jump.
func unless(k uint32, body []instruction) []instruction {
	return append([]instruction{{code: jumpEqual, jt: 1, k: k}, {code: jump, k: uint32(len(body))}}, body...)
}

// span is the first number of a run of numbers with one action.
type span struct {
	from   uint32
	action uint32
}

// tree decides by the number of the call.
func (p plan) tree(a *abi) []instruction {
	actions := make(map[int]uint32)
	set := func(action uint32, names []string) {
		for _, n := range a.numbersOf(names) {
			actions[n] = action
		}
	}
	for name, errno := range p.deny {
		set(giveErrno|uint32(errno), expand([]string{name}))
	}
	set(giveNotify, append(expand(p.watch), always...))
	set(enosys, p.away())
	spans := []span{{0, giveAllow}}
	add := func(from int, action uint32) {
		if last := &spans[len(spans)-1]; last.from == uint32(from) {
			last.action = action
		} else if last.action != action {
			spans = append(spans, span{uint32(from), action})
		}
	}
	for _, n := range slices.Sorted(maps.Keys(actions)) {
		add(n, actions[n])
		add(n+1, giveAllow)
	}
	spans = merge(spans)
	if a.name == "amd64" {
		spans = append(spans, span{x32Bit, enosys})
	}
	return append([]instruction{{code: load, k: offsetNumber}}, search(spans)...)
}

// merge joins neighbours with the same action.
func merge(spans []span) []span {
	return slices.CompactFunc(spans, func(a, b span) bool { return a.action == b.action })
}

// search is a binary search for the span that A lies in.
func search(spans []span) []instruction {
	if len(spans) == 1 {
		return []instruction{ret(spans[0].action)}
	}
	mid := len(spans) / 2
	low, high := search(spans[:mid]), search(spans[mid:])
	if len(low) <= 255 {
		return slices.Concat([]instruction{{code: jumpAtLeast, jt: uint8(len(low)), k: spans[mid].from}}, low, high)
	}
	return slices.Concat([]instruction{
		{code: jumpAtLeast, jf: 1, k: spans[mid].from},
		{code: jump, k: uint32(len(low))},
	}, low, high)
}
