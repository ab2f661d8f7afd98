package compose_test

import (
	"context"
	"os"
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
		{name: "required", file: "services:\n  a:\n    image: x:${TAG:?say which}\n", want: []string{"compose.yaml:", "TAG", "say which"}},
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
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			if c.file != "" {
				files["compose.yaml"] = c.file
			}
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

// What makes no difference is left out with a warning.
func TestWarnings(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `services:
  a:
    image: x
    container_name: the-a
    ports: ["8080:80"]
    stop_grace_period: 1m
    pull_policy: always
`})
	p, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(p.Warnings, "\n")
	for _, want := range []string{"compose.yaml:4: without services.a.container_name: ", "compose.yaml:5: without services.a.ports: ", "compose.yaml:6: without services.a.stop_grace_period: ", "compose.yaml:7: without services.a.pull_policy: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%s\nlacks %q", all, want)
		}
	}
	if got := p.Services[0].Settings.Networks[0].Aliases; strings.Join(got, " ") != "a the-a" {
		t.Errorf("aliases %v", got)
	}
}
