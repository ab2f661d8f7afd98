package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Proxies listen this much above the server's port.
const (
	toxiproxyShift = 20000
	haproxyShift   = 30000
	peerShift      = 40000
)

// side is one way from the client to the server.
type side struct {
	name  string
	shift int    // of the port that the client connects to
	edge  string // "": not attached, "un-named", "armed"
	needs []need
}

func usualSides() []side {
	return []side{{name: "direct"}, {name: "un-named", edge: "un-named"}, {name: "armed", edge: "armed"}, {name: "toxiproxy", shift: toxiproxyShift}}
}

func protocolSides() []side {
	return []side{
		{name: "direct"}, {name: "armed", edge: "armed"}, {name: "toxiproxy", shift: toxiproxyShift},
		{name: "haproxy", shift: haproxyShift, needs: []need{{program: "haproxy", from: "haproxy"}}},
		{name: "peer", shift: peerShift},
	}
}

// need is something that has to be on this machine.
type need struct {
	program string // in PATH, or a glob of files
	from    string // how to get it: a package of Debian, or a command
}

func (n need) met() bool {
	if strings.Contains(n.program, "/") {
		found, _ := filepath.Glob(n.program)
		return len(found) > 0
	}
	_, err := exec.LookPath(n.program)
	return err == nil
}

func (n need) String() string {
	if strings.Contains(n.from, " ") {
		return n.program + ": " + n.from
	}
	return n.program + ": apt-get install " + n.from
}

// startProxies starts the plain proxies among ways, each in front of every
// port that a load may use. They dial only when they are dialled.
func (l *lab) startProxies(ctx context.Context, ways []side, toxiproxy string) error {
	for _, s := range ways {
		var err error
		switch s.name {
		case "toxiproxy":
			err = l.startToxiproxy(ctx, toxiproxy)
		case "haproxy":
			err = l.startHaproxy(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// startToxiproxy starts a toxiproxy without toxics.
func (l *lab) startToxiproxy(ctx context.Context, binary string) error {
	var conf []map[string]any
	for _, port := range ports {
		conf = append(conf, map[string]any{"name": fmt.Sprint(port), "enabled": true,
			"listen": fmt.Sprintf("127.0.0.1:%d", port+toxiproxyShift), "upstream": fmt.Sprintf("127.0.0.1:%d", port)})
	}
	b, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	file, err := l.file("toxiproxy.json", string(b))
	if err != nil {
		return err
	}
	return l.start(ctx, service("toxiproxy", redisPort+toxiproxyShift, binary, "-host", "127.0.0.1", "-config", file))
}

// startHaproxy starts a haproxy that looks at nothing.
func (l *lab) startHaproxy(ctx context.Context) error {
	conf := "global\n maxconn 4096\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
	for _, port := range ports {
		conf += fmt.Sprintf("listen port%d\n bind 127.0.0.1:%d\n server one 127.0.0.1:%d\n", port, port+haproxyShift, port)
	}
	file, err := l.file("haproxy.cfg", conf)
	if err != nil {
		return err
	}
	return l.start(ctx, service("haproxy", redisPort+haproxyShift, "haproxy", "-db", "-f", file))
}

// peer is a proxy that speaks a protocol.
type peer struct {
	name  string
	needs []need
	start func(ctx context.Context, l *lab, port int) error // in front of port
}

// service is the name that the peer in front of port runs under.
func (p *peer) service(port int) string { return fmt.Sprintf("%s-%d", p.name, port) }

var pgbouncer = peer{"pgbouncer", []need{{"pgbouncer", "pgbouncer"}}, func(ctx context.Context, l *lab, port int) error {
	file, err := l.file("pgbouncer.ini", fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d user=postgres\n"+
		"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = session\n", port, port+peerShift))
	if err != nil {
		return err
	}
	s := service(fmt.Sprintf("pgbouncer-%d", port), port+peerShift, "pgbouncer", "-q", file)
	s.User = "postgres"
	return l.start(ctx, s)
}}

// nutcracker is twemproxy, for Redis or for Memcached.
func nutcracker(redis bool) *peer {
	return &peer{"nutcracker", []need{{"nutcracker", "nutcracker"}}, func(ctx context.Context, l *lab, port int) error {
		name := fmt.Sprintf("nutcracker-%d", port)
		file, err := l.file(name+".yml", fmt.Sprintf("pool:\n  listen: 127.0.0.1:%d\n  redis: %t\n  hash: fnv1a_64\n  distribution: ketama\n  servers:\n   - 127.0.0.1:%d:1\n",
			port+peerShift, redis, port))
		if err != nil {
			return err
		}
		return l.start(ctx, service(name, port+peerShift, "nutcracker", "-c", file, "-a", "127.0.0.1", "-s", fmt.Sprint(port+peerShift-1)))
	}}
}

// file writes a file that every user may read into the world's folder.
func (l *lab) file(name, text string) (path string, err error) {
	path = filepath.Join(l.world.Dir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("configure %s: %w", name, err)
	}
	return path, os.Chmod(path, 0o644)
}
