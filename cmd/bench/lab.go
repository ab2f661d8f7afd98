package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols"
	"faultbox/protocols/all"
	"faultbox/runtime"
	"faultbox/runtime/process"
	"faultbox/runtime/world"
)

// lab is one world with the servers, in which client programs are run.
type lab struct {
	worlds      runtime.Worlds
	world       runtime.World
	driver      runtime.Driver
	interceptor *redirect.Interceptor
	running     []runtime.Instance
	runs        int
}

func openLab(ctx context.Context) (*lab, error) {
	l := &lab{worlds: world.New(world.Options{}), driver: process.New(process.Options{Dir: os.TempDir()}), interceptor: redirect.New()}
	if err := errors.Join(l.worlds.Supported(), l.interceptor.Supported()); err != nil {
		return nil, err
	}
	var err error
	l.world, err = l.worlds.New(ctx, "bench")
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(l.world.Dir(), 0o777)
}

func (l *lab) close() {
	for _, in := range l.running {
		in.Stop(context.Background())
	}
	l.world.Close()
	l.interceptor.Close()
}

func (l *lab) start(ctx context.Context, s *runtime.Service) error {
	in, err := l.driver.Start(ctx, l.world, s, func(intercept.Target) error { return nil })
	if err != nil {
		return err
	}
	l.running = append(l.running, in)
	for range 500 {
		c, err := in.Dial(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(s.Interfaces[0].Port))
		if err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("start %s: it does not listen: %s", s.Name, strings.Join(in.Tail(5), "; "))
}

func (l *lab) startServers(ctx context.Context) error {
	redis := service("redis", redisPort, "redis-server", "--save", "", "--appendonly", "no", "--port", strconv.Itoa(redisPort))
	if err := l.start(ctx, redis); err != nil {
		return err
	}
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		return errors.New("start PostgreSQL: not installed; apt-get install postgresql-15")
	}
	bin, data := bins[len(bins)-1], l.world.Dir()+"/pg"
	initdb := exec.CommandContext(ctx, "runuser", "-u", "postgres", "--", bin+"/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
	initdb.Dir = l.world.Dir()
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster: %w: %s", err, out)
	}
	pg := service("postgres", postgresPort, bin+"/postgres", "-D", data, "-p", strconv.Itoa(postgresPort), "-c", "fsync=off", "-k", l.world.Dir())
	pg.User = "postgres"
	if err := l.start(ctx, pg); err != nil {
		return err
	}
	_, err := l.client(ctx, "init", nil, "pgbench", "-h", "127.0.0.1", "-p", strconv.Itoa(postgresPort), "-U", "postgres", "-i", "-q", "postgres")
	return err
}

func service(name string, port int, binary string, args ...string) *runtime.Service {
	return &runtime.Service{Name: name, Binary: binary, Args: args, Interfaces: []*runtime.Interface{{Name: "main", Port: port}}}
}

// startToxiproxy puts a toxiproxy without toxics in front of both servers.
func (l *lab) startToxiproxy(ctx context.Context, binary string) error {
	var conf []map[string]any
	for _, port := range []int{redisPort, postgresPort} {
		conf = append(conf, map[string]any{"name": fmt.Sprint(port), "enabled": true,
			"listen": fmt.Sprintf("127.0.0.1:%d", port+toxiShift), "upstream": fmt.Sprintf("127.0.0.1:%d", port)})
	}
	b, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	file := l.world.Dir() + "/toxiproxy.json"
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return err
	}
	return l.start(ctx, service("toxiproxy", redisPort+toxiShift, binary, "-host", "127.0.0.1", "-config", file))
}

// measure runs one load over one side.
func (l *lab) measure(ctx context.Context, ld load, s side) (float64, error) {
	dir, err := os.MkdirTemp(l.world.Dir(), "run")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		return 0, err
	}
	args := ld.args(s.port(ld), dir)
	out, err := l.client(ctx, s.name, l.peers(ld, s), args...)
	if err != nil {
		return 0, err
	}
	return ld.result(out, dir)
}

// peers is what the client is intercepted toward. Un-named: another port.
func (l *lab) peers(ld load, s side) []intercept.Peer {
	if s.edge == "" {
		return nil
	}
	p := intercept.Peer{To: ld.protocol, Interface: "main", Protocol: protocol(ld.protocol)}
	port := ld.port
	if s.edge == "un-named" {
		port = 1
	}
	p.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))
	return []intercept.Peer{p}
}

func protocol(name string) *protocols.Protocol {
	for _, p := range all.Protocols() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// client runs a program in the world to its end and returns what it printed.
func (l *lab) client(ctx context.Context, name string, peers []intercept.Peer, args ...string) (string, error) {
	l.runs++
	var attached intercept.Attachment
	gate := func(t intercept.Target) error {
		if peers == nil {
			return nil
		}
		t.Name, t.Peers = "client", peers
		var err error
		attached, err = l.interceptor.Attach(ctx, t, neverMatching(peers[0]))
		return err
	}
	s := &runtime.Service{Name: fmt.Sprintf("%s-%d", name, l.runs), Binary: args[0], Args: args[1:]}
	in, err := l.driver.Start(ctx, l.world, s, gate)
	if err != nil {
		return "", err
	}
	select {
	case <-in.Exited():
	case <-ctx.Done():
	}
	if attached != nil {
		err = attached.Close()
	}
	err = errors.Join(err, in.Stop(context.Background()), in.Err(), ctx.Err())
	out := strings.Join(in.Tail(50), "\n")
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out), nil
}

// armed is a handler with one rule that looks at every event and never fires.
// It keeps no timeline; it counts.
type armed struct {
	*intercept.Rules
	done atomic.Uint64
}

func (a *armed) Done(intercept.Event) { a.done.Add(1) }

func neverMatching(p intercept.Peer) intercept.Handler {
	field := map[string]string{"redis": "key", "postgres": "query"}[p.To]
	term, err := intercept.NewTerm(p.Protocol, field, "", "no such thing*")
	if err != nil {
		panic(err)
	}
	r := intercept.NewRules(1)
	r.Arm(intercept.Rule{Name: "never", To: p.To, Proto: p.Protocol.Name, Match: intercept.Match{term}, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Close}})
	return &armed{Rules: r}
}
