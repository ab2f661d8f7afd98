//go:build linux

package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"faultbox/runtime"
	"faultbox/runtime/docker/dockertest"
)

// dump prints everything that a program can see of the container that it is
// the first process of.
const dump = `
echo "# cmdline"; tr '\0' '|' </proc/1/cmdline; echo
echo "# environment"; tr '\0' '\n' </proc/1/environ | sort
echo "# status"; grep -E '^(Name|Uid|Gid|Groups|Pid|PPid|NS|Cap|NoNewPrivs|Seccomp|Sig[^Q]|Shd|Umask|Threads|CoreDumping|THP|Cpus|Mems)' /proc/1/status
echo "# stat"; cut -d ' ' -f 1,2,4-8,18-20 /proc/1/stat
echo "# limits"; cat /proc/1/limits
echo "# descriptors"; ls /proc/1/fd; for n in 0 1 2; do readlink /proc/1/fd/$n; done
echo "# namespaces"; ls /proc/1/ns
echo "# rest"; cat /proc/1/oom_score_adj /proc/1/personality /proc/1/coredump_filter /proc/1/sessionid /proc/1/comm; pwd; id; umask
echo "# cgroup"; cat /proc/1/cgroup
echo "# mounts"; cut -d ' ' -f 4- /proc/1/mountinfo | grep -v ' /.faultbox/'
echo "# files"; ls -la / /dev /etc | grep -v '\.faultbox'
echo "# network"; ip address; ip route; cat /etc/hosts /etc/resolv.conf /etc/hostname; hostname
echo "# processes"; ps -o ppid,user,args
echo "# end"
`

// masks replace what differs between any two containers.
var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{64}`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "HOST"},
	{regexp.MustCompile(`([0-9a-f]{2}:){5}[0-9a-f]{2}`), "MAC"},
	{regexp.MustCompile(`\b10\.\d+\.\d+\.\d+`), "IP"},
	{regexp.MustCompile(`(pipe|socket):\[\d+\]`), "$1"},
	{regexp.MustCompile(`if\d+`), "ifN"},
	{regexp.MustCompile(`(?m)^\d+: eth`), "N: eth"},
	{regexp.MustCompile(`(?m)^total \d+`), "total N"},
	{regexp.MustCompile(`\bmaster:\d+`), "master:N"},
	{regexp.MustCompile(`overlay2/l/\w+`), "LAYER"},
	{regexp.MustCompile(`[A-Z][a-z]{2} +\d+ +[\d:]+`), "DATE"},
	{regexp.MustCompile(`(?m)^([-dlcbps][-rwxtTsS]{9}) +\d+ (\S+) +(\S+) +\d[\d, ]* DATE`), "$1 $2 $3 DATE"},
	{regexp.MustCompile(`(?m)^(Mems_allowed|Cpus_allowed).*\n`), ""},
	{regexp.MustCompile(`LAYER(:LAYER)*`), "LAYERS"},
	{regexp.MustCompile(` +`), " "},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.re.ReplaceAllString(text, m.with)
	}
	return text
}

// TestNothingChanges compares what a program sees of its container with what
// it sees after a plain `docker run`.
func TestNothingChanges(t *testing.T) {
	dockertest.Start(t).Images(t, "probe")
	for _, c := range []struct {
		name string
		s    runtime.Service
		run  []string
	}{
		{"plain", runtime.Service{}, nil},
		{"user", runtime.Service{User: "1000:1000"}, []string{"--user", "1000:1000"}},
		{"environment and folder", runtime.Service{Env: []string{"A=b c", "FROM_IMAGE=no", "EMPTY="}, Workdir: "/tmp"},
			[]string{"--env", "A=b c", "--env", "FROM_IMAGE=no", "--env", "EMPTY=", "--workdir", "/tmp"}},
		{"read-only, without capabilities", runtime.Service{Settings: &runtime.Settings{HostConfig: []byte(`{"ReadonlyRootfs": true, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"]}`)}},
			[]string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}},
		{"limits", runtime.Service{Settings: &runtime.Settings{HostConfig: []byte(`{"Memory": 268435456, "PidsLimit": 100, "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}]}`)}},
			[]string{"--memory", "256m", "--pids-limit", "100", "--ulimit", "nofile=1000:2000"}},
		{"names", runtime.Service{Settings: &runtime.Settings{Config: []byte(`{"Hostname": "alpha", "Domainname": "example.test"}`), HostConfig: []byte(`{"Dns": ["192.0.2.53"], "DnsSearch": ["example.test"], "DnsOptions": ["ndots:2"], "ExtraHosts": ["beta:192.0.2.1"]}`)}},
			[]string{"--hostname", "alpha", "--domainname", "example.test", "--dns", "192.0.2.53", "--dns-search", "example.test", "--dns-option", "ndots:2", "--add-host", "beta:192.0.2.1"}},
		{"port", runtime.Service{Ports: []runtime.PortMap{{Host: 18081, Container: 8080}}}, []string{"--publish", "18081:8080"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := dockertest.Start(t)
			image(t, engine, "faultbox/dump", "FROM faultbox/probe\nENTRYPOINT [\"/bin/sh\", \"-c\", \"eval \\\"$0\\\"; exec sleep 1000\"]\n")

			s := c.s
			s.Name, s.Image, s.Args = "svc", "faultbox/dump", []string{dump, "", "last argument"}
			s.Interfaces = probe("x").Interfaces
			back := probe("back")
			b := newBed(t, &s, back)
			b.start(t, &s, &witness{}, peerOf(b, back))
			name := b.name(t, &s)
			got, settings, code := logsOf(t, engine, name), settingsOf(t, engine, name), codeOf(t, engine, name)
			b.world.Close()

			engine.Must(t, "network", "create", "--subnet", "10.9.8.0/24", "plain")
			defer engine.Docker("network", "rm", "plain")
			args := append([]string{"run", "--detach", "--name", "plain", "--network", "plain", "--network-alias", "svc"}, c.run...)
			engine.Must(t, append(args, "faultbox/dump", dump, "", "last argument")...)
			defer engine.Docker("rm", "--force", "--volumes", "plain")
			compare(t, masked(got), masked(logsOf(t, engine, "plain")))
			if d := difference(settings, settingsOf(t, engine, "plain")); d != "" {
				t.Errorf("of its settings %s", d)
			}
			if want := codeOf(t, engine, "plain"); code != want {
				t.Errorf("asked to end, it ends with %s instead of %s", code, want)
			}
		})
	}
}

// logsOf returns what a container has printed up to its end mark.
func logsOf(t *testing.T, engine *dockertest.Engine, name string) string {
	t.Helper()
	for range 500 {
		text := engine.Must(t, "logs", name)
		if strings.HasSuffix(text, "# end") {
			return text
		}
	}
	t.Fatalf("%s does not come to its end: %s", name, engine.Must(t, "logs", name))
	return ""
}

// settingsOf is what the engine says of a container, but for what is the gate's
// and what names it.
func settingsOf(t *testing.T, engine *dockertest.Engine, name string) string {
	t.Helper()
	var c struct{ Config, HostConfig map[string]any }
	if err := json.Unmarshal([]byte(engine.Must(t, "inspect", "--format", "{{json .}}", name)), &c); err != nil {
		t.Fatal(err)
	}
	image := engine.Must(t, "inspect", "--format", "{{.Image}}", name)
	for _, key := range []string{"Entrypoint", "Labels", "Image", "AttachStdout", "AttachStderr"} {
		delete(c.Config, key)
	}
	if host, _ := c.Config["Hostname"].(string); len(host) == 12 { // a part of the id
		delete(c.Config, "Hostname")
	}
	if env, _ := c.Config["Env"].([]any); env != nil { // docker run changes its order from time to time
		slices.SortFunc(env, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	for _, key := range []string{"Mounts", "NetworkMode", "ConsoleSize"} {
		delete(c.HostConfig, key)
	}
	for _, settings := range []map[string]any{c.Config, c.HostConfig} { // none is as good as nothing
		maps.DeleteFunc(settings, func(_ string, v any) bool {
			x := reflect.ValueOf(v)
			return v == nil || x.Kind() == reflect.Map && x.Len() == 0 || x.Kind() == reflect.Slice && x.Len() == 0
		})
	}
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil || len(c.Config) == 0 || len(c.HostConfig) < 10 {
		t.Fatalf("there is too little to compare: %v\n%s", err, text)
	}
	return image + "\n" + string(text)
}

// codeOf asks a container to end, as `docker stop` does, and returns its exit code.
func codeOf(t *testing.T, engine *dockertest.Engine, name string) string {
	t.Helper()
	engine.Must(t, "stop", "--time", "1", name)
	return engine.Must(t, "inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}", name)
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(want, "# network") || len(want) < 2000 {
		t.Fatalf("there is too little to compare:\n%s", want)
	}
	if d := difference(got, want); d != "" {
		t.Fatal(d)
	}
}

// difference says where two texts begin to differ; "" if they don't.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for n := range max(len(a), len(b)) {
		if n >= len(a) || n >= len(b) || a[n] != b[n] {
			from, to := max(0, n-2), n+3
			return fmt.Sprintf("line %d differs:\n%.500q\ninstead of\n%.500q", n+1, a[from:min(to, len(a))], b[from:min(to, len(b))])
		}
	}
	return ""
}

// TestShim runs the gate where nobody answers: the container starts all the
// same, whatever was taken from it.
func TestShim(t *testing.T) {
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	gate := []string{"run", "--rm", "--network", "none", "--volume", dockertest.Faultbox(t) + ":/.faultbox/gate:ro", "--entrypoint", "/.faultbox/gate"}
	for _, c := range []struct {
		name      string
		flags     []string
		args      []string
		out, fail string
	}{
		{"plain", nil, []string{"echo", "it runs"}, "it runs", ""},
		{"read-only", []string{"--read-only"}, []string{"echo", "it runs"}, "it runs", ""},
		{"no capabilities", []string{"--cap-drop", "ALL", "--security-opt", "no-new-privileges"}, []string{"echo", "it runs"}, "it runs", ""},
		{"another user", []string{"--user", "12345:12345"}, []string{"id", "-u"}, "12345", ""},
		{"init", []string{"--init"}, []string{"echo", "it runs"}, "it runs", ""},
		{"little memory", []string{"--memory", "16m", "--pids-limit", "20"}, []string{"echo", "it runs"}, "it runs", ""},
		{"exit code", nil, []string{"sh", "-c", "exit 42"}, "", "exit status 42"},
		{"not there", nil, []string{"frobnicate"}, "", "exit status 127"},
		{"not at that path", nil, []string{"/bin/frobnicate"}, "", "exit status 127"},
		{"not executable", nil, []string{"/etc/passwd"}, "", "exit status 126"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append(append([]string(nil), gate...), c.flags...)
			out, err := engine.Docker(append(append(args, "faultbox/probe"), c.args...)...)
			if out != c.out || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Errorf("printed %q, %v; want %q, %s", out, err, c.out, c.fail)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	dockertest.Start(t).Images(t, "probe")
	for _, c := range []struct{ script, want string }{
		{"exit 0", ""},
		{"exit 42", "exit code 42"},
		{"kill -9 $$; sleep 1; (sleep 1; exit 1)", "exit code 1"}, // the first process is deaf to itself
	} {
		s := probe("svc")
		s.Image, s.Args = "faultbox/shell", []string{c.script}
		b := newBed(t, s)
		shell(t, b.Engine)
		i := b.start(t, s, nil)
		<-i.Exited()
		if got := fmt.Sprint(i.Err()); got != c.want && !(c.want == "" && i.Err() == nil) {
			t.Errorf("%s: %s, want %q", c.script, got, c.want)
		}
		if err := i.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// shell makes an image whose arguments are a script.
func shell(t *testing.T, engine *dockertest.Engine) {
	t.Helper()
	image(t, engine, "faultbox/shell", "FROM faultbox/probe\nENTRYPOINT [\"/bin/sh\", \"-c\"]\n")
}

// image builds an image of a Dockerfile.
func image(t *testing.T, engine *dockertest.Engine, tag, dockerfile string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/Dockerfile", []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	engine.Must(t, "build", "--quiet", "--tag", tag, dir)
}

// TestStop: a service that hears its stop signal has its say.
func TestStop(t *testing.T) {
	s := probe("svc")
	dockertest.Start(t).Images(t, "probe")
	b := newBed(t, s)
	i := b.start(t, s, nil)
	ready(t, i)
	for range 2 {
		if err := i.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if tail := strings.Join(i.Tail(5), "\n"); !strings.Contains(tail, "asked to end") || i.Err() != nil {
		t.Errorf("ended with %v, and wrote %q", i.Err(), tail)
	}
}

// TestExec: programs that are started in a container later are its own.
func TestExec(t *testing.T) {
	dockertest.Start(t).Images(t, "probe")
	front, back := probe("front"), probe("back")
	back.Env = []string{"GREETING=hello"}
	b := newBed(t, front, back)
	w := &witness{}
	server := b.start(t, back, nil)
	client := b.start(t, front, w, peerOf(b, back))
	ready(t, server)
	ready(t, client)
	out := b.Must(t, "exec", b.name(t, front), "/probe", "get", "http://back:8080/")
	if out != "200 hello" {
		t.Errorf("exec printed %q", out)
	}
	if got, want := w.take(), "front → back GET /"; got != want {
		t.Errorf("seen: %q, want %q", got, want)
	}
}

func TestLines(t *testing.T) {
	s := probe("svc")
	dockertest.Start(t).Images(t, "probe")
	s.Image, s.Args = "faultbox/shell", []string{"echo one; echo err >&2; echo two; printf three"}
	s.Observe = []runtime.Observer{{Stream: "stdout"}}
	b := newBed(t, s)
	shell(t, b.Engine)
	i := b.start(t, s, nil)
	var lines []string
	i.Lines(func(stream, line string) { lines = append(lines, stream+" "+line) })
	<-i.Exited()
	if got := strings.Join(lines, "|"); got != "stdout one|stdout two|stdout three" {
		t.Errorf("lines: %s", got)
	}
}
