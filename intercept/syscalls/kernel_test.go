//go:build linux

package syscalls

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
)

// kin are the calls whose names say that they might belong to a family: those
// that match stem, but for others, which do something else.
var kin = map[string]struct{ stem, others string }{
	"accept":    {"accept", ""},
	"access":    {"access", ""},
	"bind":      {"bind", "mbind"},
	"chmod":     {"chmod", ""},
	"chown":     {"chown", ""},
	"clone":     {"clone", ""},
	"connect":   {"connect", ""},
	"dup":       {"dup", ""},
	"epoll":     {"epoll", "epoll_create epoll_create1 epoll_ctl epoll_ctl_old"},
	"exec":      {"exec", "kexec_load kexec_file_load"},
	"fork":      {"fork|clone", ""},
	"fsync":     {"sync", "sync"}, // sync(2) syncs all, and is a family of its own with syncfs
	"getrandom": {"random", ""},
	"mkdir":     {"mkdir", ""},
	"mknod":     {"mknod", ""},
	"mmap":      {"mmap", ""},
	"nanosleep": {"sleep", ""},
	"open":      {"open|^creat$", "fsopen mq_open open_tree open_tree_attr perf_event_open pidfd_open"},
	"pipe":      {"pipe", ""},
	"poll":      {"poll", "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2"},
	"read":      {"read", "get_thread_area set_thread_area pciconfig_read s390_pci_mmio_read process_vm_readv readahead readdir readlink readlinkat"},
	"readlink":  {"readlink", ""},
	"recv":      {"recv", ""},
	"rename":    {"rename", ""},
	"select":    {"select", ""},
	"send":      {"send", "mq_timedsend pidfd_send_signal sendfile"},
	"setxattr":  {"setxattr", ""},
	"socket":    {"socket", "socketcall socketpair"},
	"stat":      {"stat", "cachestat statfs fstatfs ustat statmount"},
	"truncate":  {"truncate", ""},
	"unlink":    {"unlink", "mq_unlink"},
	"write":     {"write|splice|sendfile|copy_file", "process_vm_writev pciconfig_write s390_pci_mmio_write vmsplice"},
}

// TestKernelTable compares the families with every call that any of our tables
// has, and with those of the running kernel: a new one that might belong to a
// family is noticed.
func TestKernelTable(t *testing.T) {
	calls := kernelCalls(t)
	for _, abi := range []string{"amd64", "arm64", "386", "arm"} {
		for call := range newABI(abi).number {
			calls = append(calls, call)
		}
	}
	slices.Sort(calls)
	calls = slices.Compact(calls)
	for family, k := range kin {
		members, others := intercept.SyscallNames(family), strings.Fields(k.others)
		stem := regexp.MustCompile(k.stem)
		for _, call := range calls {
			if stem.MatchString(call) && !slices.Contains(members, call) && !slices.Contains(others, call) {
				t.Errorf("%s: is it of the family %s? Then list it there (intercept/syscall.go), else among others here", call, family)
			}
		}
	}
}

var (
	entry   = regexp.MustCompile(`(?m) [tT] __(?:x64|arm64|ia32|ia32_compat|arm64_compat)_sys_(\w+)$`)
	variant = strings.NewReplacer("ia32_", "", "old_", "", "compat_", "")
	width   = regexp.MustCompile(`(_time32|_time64|16|_?64)$`)
)

// kernelCalls are the calls of the running kernel, as far as it shows them, by
// the names that they have in our tables: its functions tell apart what are
// variants of one call.
func kernelCalls(t *testing.T) (calls []string) {
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Logf("this kernel does not show its calls, only the tables are compared: %v", err)
		return nil
	}
	known := map[string]bool{}
	for _, abi := range []string{"amd64", "arm64", "386", "arm"} {
		for call := range newABI(abi).number {
			known[call] = true
		}
	}
	other := map[string]string{"mmap_pgoff": "mmap", "preadv64v2": "preadv2", "pwritev64v2": "pwritev2", "fstatat": "newfstatat", "sync_file_range2": "sync_file_range"}
	for _, m := range entry.FindAllStringSubmatch(string(symbols), -1) {
		for _, name := range []string{m[1], variant.Replace(m[1]), width.ReplaceAllString(variant.Replace(m[1]), ""), strings.TrimPrefix(m[1], "new")} {
			if to := other[name]; to != "" {
				name = to
			}
			if known[name] {
				m[1] = name
				break
			}
		}
		calls = append(calls, m[1])
	}
	if len(calls) < 200 {
		t.Logf("this kernel shows %d of its calls, only the tables are compared", len(calls))
	}
	return calls
}
