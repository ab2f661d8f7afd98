package compose_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/runtime"
	"faultbox/runtime/compose"
)

// write makes files of a project, by name, and returns their folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(dir string, change ...func(*runtime.ProjectQuery)) (*runtime.Project, error) {
	q := runtime.ProjectQuery{Files: []string{filepath.Join(dir, "compose.yaml")}, Dir: dir}
	for _, f := range change {
		f(&q)
	}
	return compose.Load(context.Background(), q)
}

// Each mistake is told with its file and, where there is one, its line.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name, file string
		change     func(*runtime.ProjectQuery)
		want       []string
		more       map[string]string // files
	}{
		{name: "no file", want: []string{"read compose file compose.yaml: no such file"}},
		{name: "not YAML", file: "services:\n  a:\n   image: x\n  - b\n", want: []string{"compose.yaml:", "not YAML"}},
		{name: "tab", file: "services:\n\ta:\n", want: []string{"compose.yaml:2: not YAML"}},
		{name: "unknown attribute", file: "services:\n  a:\n    image: x\n    imagge: y\n", want: []string{"compose.yaml:4: services.a.imagge is no attribute"}},
		{name: "wrong type", file: "services:\n  a:\n    image: [x]\n", want: []string{"compose.yaml:3: services.a.image must be a string"}},
		{name: "no service", file: "services:\n  a:\n    image: x\n    depends_on: [b]\n", want: []string{"compose.yaml:2: ", `undefined service "b"`}},
		{name: "cycle", file: "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n", want: []string{"compose.yaml:", "cycle", "a -> b -> a"}},
		{name: "no env file", file: "services:\n  a:\n    image: x\n    env_file: some.env\n", want: []string{"compose.yaml:4: read env file some.env: there is no such file"}},
		{name: "unset", file: "services:\n  a:\n    image: x:${TAG}\n", want: []string{"compose.yaml:3: variable TAG has no value", `env = {"TAG": …}`}},
		{name: "required", file: "services:\n  a:\n    image: x:${TAG:?say which}\n", want: []string{"compose.yaml:3: ", "TAG", "say which"}},
		{name: "no profile", file: "services:\n  a:\n    image: x\n    profiles: [dev]\n", change: func(q *runtime.ProjectQuery) { q.Profiles = []string{"prod"} },
			want: []string{`find profile "prod": no service has it (there are dev)`}},
		{name: "no such service", file: "services:\n  a:\n    image: x\n", change: func(q *runtime.ProjectQuery) { q.Only = []string{"b"} }, want: []string{`find service "b": there is none`}},
		{name: "no image", file: "services:\n  a:\n    command: x\n", want: []string{"compose.yaml:2: ", "neither an image nor a build"}},
		{name: "no secret", file: "services:\n  a:\n    image: x\n    secrets: [s]\nsecrets:\n  s: {file: ./none}\n", want: []string{"compose.yaml:2: service a: read secrets.s: none: no such file"}},
		{name: "undefined volume", file: "services:\n  a:\n    image: x\n    volumes: [\"data:/v\"]\n", want: []string{"compose.yaml:2: ", "undefined volume data"}},
		{name: "undefined network", file: "services:\n  a:\n    image: x\n    networks: [n]\n", want: []string{"compose.yaml:2: ", "undefined network n"}},
		{name: "named test", file: "services:\n  test:\n    image: x\n", want: []string{"compose.yaml:2: services.test cannot be honoured: that is what the test itself is called"}},
		{name: "nothing to ignore", file: "services:\n  a:\n    image: x\n", change: func(q *runtime.ProjectQuery) { q.Ignore = []string{"services.a.gpus"} }, want: []string{`ignore "services.a.gpus": there is nothing of that name`}},
		{name: "other platform", file: "services:\n  a:\n    image: x\n    platform: linux/s390x\n", want: []string{"compose.yaml:2: service a: its platform is linux/s390x"}},
		{name: "remote build", file: "services:\n  a:\n    build: https://example.org/a.git\n", want: []string{"compose.yaml:2: service a: it is built of https://example.org/a.git"}},
		{name: "two subnets", file: "services:\n  a:\n    image: x\n    networks: [n]\nnetworks:\n  n:\n    ipam: {config: [{subnet: 10.1.0.0/24}, {subnet: 10.2.0.0/24}]}\n", want: []string{"compose.yaml:2: service a: its network n has several subnets"}},
		{name: "gateway alone", file: "services:\n  a:\n    image: x\n    networks: [n]\nnetworks:\n  n:\n    ipam: {config: [{gateway: 10.1.0.1}]}\n", want: []string{"compose.yaml:2: service a: its network n has a gateway", "no subnet"}},
		{name: "unknown section", file: "services:\n  a: {image: x}\nvolume: {}\n", want: []string{"compose.yaml:3: volume is no attribute that compose files have"}},
		{name: "unknown part", file: "services:\n  a:\n    build: {contxt: .}\n", want: []string{"compose.yaml:3: services.a.build.contxt is no attribute"}},
		{name: "inactive dependency", file: "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, profiles: [debug]}\n", want: []string{"compose.yaml:2: ", `b is active with profile debug only: profiles = ["debug"]`}},
		{name: "check that is none", file: "services:\n  a: {image: x, healthcheck: {disable: true}}\n  b: {image: x, depends_on: {a: {condition: service_healthy}}}\n", want: []string{"compose.yaml:2: service a: its health check is disabled, and another service waits for it"}},
		{name: "no seccomp profile", file: "services:\n  a:\n    image: x\n    security_opt: [\"seccomp:./none.json\"]\n", want: []string{"compose.yaml:2: service a: read its seccomp profile ./none.json: no such file"}},
		{name: "no include", file: "include:\n  - sub/more.yaml\nservices:\n  a: {image: x}\n", want: []string{"compose.yaml:2: open sub/more.yaml: no such file"}},
		{name: "in an included file", file: "include: [sub/more.yaml]\nservices:\n  a: {image: x}\n", more: map[string]string{"sub/more.yaml": "services:\n  b:\n    image: x\n    gpus: all\n"},
			want: []string{"sub/more.yaml:4: services.b.gpus cannot be honoured"}},
		{name: "unset in an included file", file: "include: [{path: sub/more.yaml}]\nservices:\n  a: {image: x}\n", more: map[string]string{"sub/more.yaml": "services:\n  b:\n    image: x:${TAG}\n"},
			want: []string{"sub/more.yaml:3: variable TAG has no value"}},
		{name: "no env file of an included file", file: "include: [sub/more.yaml]\nservices:\n  a: {image: x}\n", more: map[string]string{"sub/more.yaml": "services:\n  b:\n    image: x\n    env_file: b.env\n"},
			want: []string{"sub/more.yaml:4: read env file sub/b.env: there is no such file"}},
		{name: "included file is not YAML", file: "include: [sub/more.yaml]\nservices:\n  a: {image: x}\n", more: map[string]string{"sub/more.yaml": "services:\n\tb:\n"}, want: []string{"sub/more.yaml:2: not YAML"}},
		{name: "in an extended file", file: "services:\n  a:\n    extends: {file: base.yaml, service: base}\n", more: map[string]string{"base.yaml": "services:\n  base:\n    image: x\n    gpus: all\n"},
			want: []string{"base.yaml:4: services.a.gpus cannot be honoured"}},
		{name: "no extended file", file: "services:\n  a:\n    extends: {file: none.yaml, service: base}\n", want: []string{"compose.yaml:3: open none.yaml: no such file"}},
		{name: "extends itself", file: "services:\n  a: {extends: b}\n  b: {extends: a}\n", want: []string{"compose.yaml: Circular reference"}},
		{name: "bad env file", file: "services:\n  a:\n    image: x\n    env_file: a.env\n", more: map[string]string{"a.env": "A=1\nB C=2\n"}, want: []string{"a.env:2: key cannot contain a space"}},
		{name: "bad raw env file", file: "services:\n  a:\n    image: x\n    env_file: [{path: a.env, format: raw}]\n", more: map[string]string{"a.env": "A=1\nB C=2\n"}, want: []string{"a.env:2: \"B C\" is no name of a variable"}},
		{name: "bad .env", file: "services:\n  a:\n    image: x\n", more: map[string]string{".env": "A B\n"}, want: []string{".env:1: "}},
		{name: "other mount", file: "services:\n  a:\n    image: x\n    volumes: [{type: image, source: y, target: /y}]\n", want: []string{"compose.yaml:2: service a: its volume at /y is of type image"}},
		{name: "bind without source", file: "services:\n  a:\n    image: x\n    volumes: [{type: bind, source: ./none, target: /y, bind: {create_host_path: false}}]\n", want: []string{"compose.yaml:2: service a: mount none at /y: no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			if c.file != "" {
				files["compose.yaml"] = c.file
			}
			maps.Copy(files, c.more)
			dir := write(t, files)
			change := c.change
			if change == nil {
				change = func(*runtime.ProjectQuery) {}
			}
			_, err := load(dir, change)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), dir) {
				t.Errorf("%v\nnames the folder %s", err, dir)
			}
		})
	}
}

// unable has what cannot be honoured, each on a line of its own.
const unable = `services:
  a:
    image: x
    network_mode: host
    gpus: all
    external_links: [other]
    volumes_from: [b]
    deploy:
      replicas: 3
      resources:
        reservations:
          devices: [{capabilities: [gpu]}]
    post_start: [{command: ["true"]}]
    pid: "service:b"
  b:
    image: x
    networks: [n]
    volumes: ["data:/v"]
    credential_spec: {file: f}
    build:
      context: .
      ssh: [default]
networks:
  n: {external: true}
volumes:
  data: {external: true}
`

// Everything that cannot be honoured is named, and can be ignored by that name.
func TestUnable(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": unable})
	_, err := load(dir)
	if err == nil {
		t.Fatal("no error")
	}
	var ignore []string
	for line := range strings.Lines(err.Error()) {
		_, after, ok := strings.Cut(line, `ignore = ["`)
		if !ok {
			t.Errorf("no advice in %q", line)
			continue
		}
		name, _, _ := strings.Cut(after, `"`)
		ignore = append(ignore, name)
	}
	for _, want := range []string{
		"compose.yaml:4: services.a.network_mode ", "compose.yaml:5: services.a.gpus ", "compose.yaml:6: services.a.external_links ",
		"compose.yaml:7: services.a.volumes_from ", "compose.yaml:9: services.a.deploy.replicas ",
		"compose.yaml:12: services.a.deploy.resources.reservations.devices", "compose.yaml:13: services.a.post_start",
		"compose.yaml:14: services.a.pid ", "compose.yaml:19: services.b.credential_spec", "compose.yaml:22: services.b.build.ssh",
		"compose.yaml:24: networks.n.external ", "compose.yaml:26: volumes.data.external ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	p, err := load(dir, func(q *runtime.ProjectQuery) { q.Ignore = ignore })
	if err != nil {
		t.Fatalf("with all of it ignored: %v", err)
	}
	if len(p.Services) != 2 {
		t.Errorf("%d services", len(p.Services))
	}
	// What is about services that do not take part is nobody's trouble.
	if _, err := load(dir, func(q *runtime.ProjectQuery) {
		q.Only = []string{"b"}
		q.Ignore = []string{"services.b", "networks.n", "volumes.data"}
	}); err != nil {
		t.Errorf("without a: %v", err)
	}
}

// What must be named, one a line: none of it is left out in silence.
func TestUnusual(t *testing.T) {
	for _, line := range []string{
		"pre_stop: [{command: [\"true\"]}]", "provider: {type: cloud}", "models: [m]", "credential_spec: {config: x}", "isolation: hyperv",
		"use_api_socket: true", "cpu_count: 2", "cpu_percent: 50", "network_mode: none", "ipc: \"service:b\"", "pid: \"container:x\"", "scale: 2",
		"deploy: {mode: global}", "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: ssd, value: 2}}]}}}",
		"networks: {default: {ipv6_address: \"2001:db8::1\"}}", "networks: {default: {link_local_ips: [169.254.1.1]}}", "networks: {default: {driver_opts: {a: b}}}",
		"networks: {default: {interface_name: eth9}}", "networks: {default: {gw_priority: 1}}", "build: {context: ., additional_contexts: {x: ./y}}",
		"build: {context: ., platforms: [linux/arm64]}", "build: {context: ., entitlements: [network.host]}", "build: {context: ., ulimits: {nofile: 3}}",
	} {
		dir := write(t, map[string]string{"compose.yaml": "services:\n  b: {image: x}\n  a:\n    image: x\n    " + line + "\nmodels:\n  m: {model: y}\n"})
		_, err := load(dir, func(q *runtime.ProjectQuery) { q.Ignore = []string{"models"} })
		name, _, _ := strings.Cut(line, ":")
		if err == nil || !strings.Contains(err.Error(), "compose.yaml:5: services.a."+name) || !strings.Contains(err.Error(), "cannot be honoured") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// What stands in the file is what the engine is told.
func TestHonoured(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `services:
  a:
    image: x
    entrypoint: ""
    command: []
    cgroup_parent: machines.slice
    security_opt: ["seccomp:./p.json", "apparmor=unconfined"]
    volumes: ["./d:/d:Z", "./e:/e:z,ro", "data:/v:nocopy", "/anonymous"]
    env_file: [{path: raw.env, format: raw}, plain.env]
    networks: {n: {aliases: [other]}}
volumes: {data: }
networks:
  n:
    ipam: {config: [{subnet: 10.5.0.0/16, ip_range: 10.5.3.0/24, gateway: 10.5.0.9, aux_addresses: {router: 10.5.3.1}}]}
`, "p.json": `{ "defaultAction": "SCMP_ACT_ALLOW" }`, "raw.env": "# none\nRAW='$HOME \"x\"'\n", "plain.env": "PLAIN='one'\n"})
	p, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := p.Services[0]
	if len(p.Warnings) > 0 {
		t.Errorf("warnings %q", p.Warnings)
	}
	if a.Settings.Entrypoint == nil || len(a.Settings.Entrypoint) > 0 || a.Settings.Command == nil {
		t.Errorf("the image's program must be cleared: %#v %#v", a.Settings.Entrypoint, a.Settings.Command)
	}
	for _, want := range []string{`"CgroupParent":"machines.slice"`, `"seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"`, `"apparmor=unconfined"`} {
		if !strings.Contains(string(a.Settings.HostConfig), want) {
			t.Errorf("%s\nlacks %s", a.Settings.HostConfig, want)
		}
	}
	if got := strings.Join(a.Env, "|"); got != `PLAIN=one|RAW='$HOME "x"'` {
		t.Errorf("environment %s", got)
	}
	var mounts []string
	for _, m := range a.Settings.Mounts {
		mounts = append(mounts, fmt.Sprint(m.Target, " ", m.SELinux, " ", m.ReadOnly, " ", m.NoCopy, " ", m.Volume != nil))
	}
	if got := strings.Join(mounts, "|"); got != "/d Z false false false|/e z true false false|/v  false true true|/anonymous  false false false" {
		t.Errorf("mounts %s", got)
	}
	n := a.Settings.Networks[0].Network
	if n.Subnet != "10.5.0.0/16" || n.Range != "10.5.3.0/24" || n.Gateway != "10.5.0.9" || n.Reserved["router"] != "10.5.3.1" {
		t.Errorf("network %+v", n)
	}
}

// Under sudo, ~ is the home of who ran it.
func TestHome(t *testing.T) {
	self, err := user.Current()
	if err != nil || self.Uid != "0" {
		t.Skip("needs root")
	}
	who, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	t.Setenv("SUDO_USER", "nobody")
	t.Setenv("HOME", self.HomeDir)
	dir := write(t, map[string]string{"compose.yaml": "services:\n  a:\n    image: x\n    environment: {H: \"${HOME}\"}\n    volumes: [\"~/d:/d\"]\n"})
	p, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Services[0].Settings.Mounts[0].Host; got != filepath.Join(who.HomeDir, "d") || p.Services[0].Env[0] != "H="+who.HomeDir {
		t.Errorf("mounted %s, %s", got, p.Services[0].Env)
	}
	t.Setenv("FAULTBOX_HOME", "/Users/mac")
	if p, err = load(dir); err != nil || p.Services[0].Settings.Mounts[0].Host != "/Users/mac/d" {
		t.Errorf("in a VM: %v, %+v", err, p)
	}
	if os.Getenv("HOME") != self.HomeDir {
		t.Error("HOME is another afterwards")
	}
}

// What makes no difference is left out with a warning.
func TestWarnings(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `services:
  a:
    image: x
    container_name: the-a
    ports: ["8080:80"]
    stop_grace_period: 1m
    pull_policy: always
`, "compose.override.yml": "services: {}\n"})
	p, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(p.Warnings, "\n")
	for _, want := range []string{"compose.yaml:4: without services.a.container_name: ", "compose.yaml:5: without services.a.ports: ", "compose.yaml:6: without services.a.stop_grace_period: ", "compose.yaml:7: without services.a.pull_policy: ", `compose.override.yml is not read: name both to have it in: ["compose.yaml", "compose.override.yml"]`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s\nlacks %q", all, want)
		}
	}
	if got := p.Services[0].Settings.Networks[0].Aliases; strings.Join(got, " ") != "a the-a" {
		t.Errorf("aliases %v", got)
	}
}
