//go:build linux

package redirect

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// checkMachine looks at what can be seen without the programs: rights, and a
// cgroup2 mount.
func checkMachine() error {
	for _, c := range []struct {
		bit  uint
		name string
	}{
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN (to load programs and enter network namespaces)"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN (to attach programs to cgroups)"},
		{unix.CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE (to listen below port 1024)"},
	} {
		ok, err := hasCapability(c.bit)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("redirect connections: this process lacks %s: run faultbox as root", c.name)
		}
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for cgroup2: %w", err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		// proc(5): the file system's type is the first field after " - ".
		if _, fs, _ := strings.Cut(lines.Text(), " - "); strings.HasPrefix(fs, "cgroup2 ") {
			return nil
		}
	}
	return errors.New("redirect connections: cgroup2 is not mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
}

func hasCapability(bit uint) (bool, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0, nil
}

// explain adds to an error of loading the programs what the kernel lacks.
func explain(err error) error {
	var lacks []string
	for _, f := range []struct {
		name  string
		probe error
	}{
		{"BPF instruction set v3 (Linux 5.1)", features.HaveV3ISA()},
		{"programs on cgroup/connect (Linux 4.17, CONFIG_CGROUP_BPF)", features.HaveProgramType(ebpf.CGroupSockAddr)},
		{"sockops programs (Linux 4.13, CONFIG_CGROUP_BPF)", features.HaveProgramType(ebpf.SockOps)},
		{"cgroup storage (Linux 4.19)", features.HaveMapType(ebpf.CGroupStorage)},
		{"socket storage (Linux 5.2)", features.HaveMapType(ebpf.SkStorage)},
		{"LRU hashes (Linux 4.10)", features.HaveMapType(ebpf.LRUHash)},
		{"namespace cookies in connect (Linux 5.7)", features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnGetNetnsCookie)},
		{"socket storage in connect (Linux 5.8)", features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSkStorageGet)},
		{"socket lookup in connect (Linux 5.2)", features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSkcLookupTcp)},
		{"namespace cookies in sockops (Linux 5.15)", features.HaveProgramHelper(ebpf.SockOps, asm.FnGetNetnsCookie)},
	} {
		if errors.Is(f.probe, ebpf.ErrNotSupported) {
			lacks = append(lacks, f.name)
		}
	}
	if len(lacks) == 0 {
		return err
	}
	return fmt.Errorf("this kernel lacks %s: %w", strings.Join(lacks, ", "), err)
}
