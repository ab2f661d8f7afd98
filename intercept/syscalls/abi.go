package syscalls

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// abi is one way into the kernel: its name as Go's GOARCH has it, its number
// in <linux/audit.h>, and its calls.
type abi struct {
	name   string
	audit  uint32
	narrow bool             // pointers have 32 bits
	names  []string         // by number; "" where there is no call
	number map[string][]int // by name
}

// audits are the values of AUDIT_ARCH_… (linux/audit.h).
var audits = map[string]uint32{"amd64": 0xc000003e, "386": 0x40000003, "arm64": 0xc00000b7, "arm": 0x40000028}

// compats names the 32-bit machine whose programs a 64-bit one runs too.
var compats = map[string]string{"amd64": "386", "arm64": "arm"}

// x32Bit marks the calls of the x32 ABI, which share amd64's audit number.
const x32Bit = 0x40000000

// maxNumber leaves out the private calls of 32-bit ARM (set_tls and the like).
const maxNumber = 0x10000

var machine = sync.OnceValue(func() *abi { return newABI(runtime.GOARCH) })

// compat is the machine's 32-bit side; nil if it has none.
var compat = sync.OnceValue(func() *abi { return newABI(compats[runtime.GOARCH]) })

func newABI(name string) *abi {
	table, ok := numbers[name]
	if !ok {
		return nil
	}
	a := &abi{name: name, audit: audits[name], number: make(map[string][]int)}
	a.narrow = a.audit&0x80000000 == 0 // __AUDIT_ARCH_64BIT
	for _, field := range strings.Fields(table) {
		call, number, _ := strings.Cut(field, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n >= maxNumber {
			continue
		}
		if n >= len(a.names) {
			a.names = append(a.names, make([]string, n+1-len(a.names))...)
		}
		a.names[n] = call
		a.number[call] = append(a.number[call], n)
	}
	return a
}

// call returns the name of call n, "" if there is none.
func (a *abi) call(n int) string {
	if n < 0 || n >= len(a.names) {
		return ""
	}
	return a.names[n]
}

// numbersOf returns the sorted numbers of calls. On a machine that wraps the
// calls of sockets in one (i386), that one stands for all of them.
func (a *abi) numbersOf(calls []string) []int {
	var out []int
	for _, name := range calls {
		out = append(out, a.number[name]...)
		if wrapper := a.number["socketcall"]; wrapper != nil && slices.Contains(socketcalls[:], name) {
			out = append(out, wrapper...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// socketcalls are the calls behind socketcall(2), by its first argument (linux/net.h).
var socketcalls = [...]string{
	1: "socket", 2: "bind", 3: "connect", 4: "listen", 5: "accept", 6: "getsockname", 7: "getpeername", 8: "socketpair",
	9: "send", 10: "recv", 11: "sendto", 12: "recvfrom", 13: "shutdown", 14: "setsockopt", 15: "getsockopt",
	16: "sendmsg", 17: "recvmsg", 18: "accept4", 19: "recvmmsg", 20: "sendmmsg",
}
