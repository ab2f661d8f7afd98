//go:build linux

package drivers

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols"
	"faultbox/runtime/host"
	"faultbox/runtime/world"
)

// Place is a network namespace with a cgroup, for clients and servers that meet
// at ports of their own choice: programs in its cgroup are intercepted by the
// kernel, as services are.
type Place struct {
	NS     *os.File
	Cgroup string
}

var places atomic.Int32

// NewPlace makes a place that is gone when the test ends. It skips the test if
// this machine cannot intercept.
func NewPlace(t testing.TB) *Place {
	t.Helper()
	i := redirect.New()
	if err := i.Supported(); err != nil {
		t.Skip("needs root, cgroup2 and Linux 5.15: ", err)
	}
	t.Cleanup(func() { i.Close() })
	p := &Place{}
	err := host.Elsewhere(func() error { return syscall.Unshare(syscall.CLONE_NEWNET) }, func() (err error) {
		if err = world.Alone(); err == nil {
			p.NS, err = host.NetNS()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.NS.Close() })
	p.Cgroup = filepath.Join(cgroup2(t), fmt.Sprintf("drivers-test-%d-%d", os.Getpid(), places.Add(1)))
	if err := os.Mkdir(p.Cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if host.AwaitEmpty(ctx, p.Cgroup) != nil {
			host.Kill(ctx, p.Cgroup)
		}
		if err := host.RemoveCgroup(p.Cgroup); err != nil {
			t.Error(err)
		}
	})
	return p
}

func cgroup2(t testing.TB) string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if mount, fs, _ := strings.Cut(line, " - "); strings.HasPrefix(fs, "cgroup2 ") {
			return strings.Fields(mount)[4]
		}
	}
	t.Fatal("no cgroup2 mount")
	return ""
}

// Arm intercepts what the place's clients send to that port, with rules as Front
// takes them, until disarmed or the test ends.
func (p *Place) Arm(t testing.TB, proto *protocols.Protocol, port uint16, rules ...intercept.Rule) (log *Log, disarm func()) {
	t.Helper()
	log = &Log{Rules: intercept.NewRules(1), start: time.Now()}
	log.Arm(t, proto, rules...)
	i := redirect.New()
	peer := intercept.Peer{To: To, Interface: Interface, Protocol: proto, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	a, err := i.Attach(context.Background(), intercept.Target{Name: From, Cgroup: p.Cgroup, NetNS: p.NS, Peers: []intercept.Peer{peer}}, log)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	disarm = func() {
		if ended {
			return
		}
		ended = true
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(disarm)
	return log, disarm
}

// Client runs a command in the place's cgroup and returns what it wrote, and
// its exit code.
func (p *Place) Client(t testing.TB, cmd *exec.Cmd) (output string, code int) {
	t.Helper()
	dir, err := os.Open(p.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := host.Inside(p.NS, cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}
