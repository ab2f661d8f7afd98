//go:build linux

package docker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"faultbox/runtime/docker/dockertest"
)

func TestMain(m *testing.M) { dockertest.Main(m) }

// TestScripts runs faultbox, as users have it, against an engine.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, dockertest.Start(t), files...)
}

func someScripts() (files []string) {
	for _, name := range []string{"edges", "mixed", "syscalls", "attach", "guests", "ports", "reuse"} {
		files = append(files, "testdata/script/"+name+".txtar")
	}
	return files
}

// TestEngines runs some of the scripts against other engines.
func TestEngines(t *testing.T) {
	t.Run("newest", func(t *testing.T) { runScripts(t, dockertest.Newest(t), someScripts()...) })
	t.Run("podman", func(t *testing.T) {
		engine := dockertest.Podman(t)
		runScripts(t, engine, someScripts()...)
		podmanIsFound(t, engine)
	})
}

// TestSystemd runs them where systemd makes the cgroups, of version 2 only.
func TestSystemd(t *testing.T) {
	if !dockertest.UnderSystemd(t) {
		return
	}
	engine := dockertest.Start(t)
	if info := engine.Must(t, "info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}"); info != "systemd 2" {
		t.Fatalf("cgroups are %s", info)
	}
	runScripts(t, engine, someScripts()...)
}

// podmanIsFound runs a spec where nothing names an engine.
func podmanIsFound(t *testing.T, engine *dockertest.Engine) {
	t.Helper()
	engine.Images(t, "probe")
	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(long(1), "200s", "1ms")), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dockertest.Faultbox(t), "test", file)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=", "HOME="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("without DOCKER_HOST: %v\n%s", err, out)
	}
}

// runScripts runs scripts, one after the other: what they leave is then theirs.
// The images that one needs stand in its first line: "# images: NAME…".
func runScripts(t *testing.T, engine *dockertest.Engine, files ...string) {
	t.Helper()
	faultbox := dockertest.Faultbox(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run("one", func(t *testing.T) { // the next begins when this has ended
			if err := engine.Empty(); err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			if names, ok := strings.CutPrefix(first, "# images: "); ok {
				engine.Images(t, strings.Fields(names)...)
			}
			testscript.Run(t, params(engine, faultbox, file))
		})
	}
}

func params(engine *dockertest.Engine, faultbox, file string) testscript.Params {
	return testscript.Params{
		Files: []string{file},
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"nothing-left": nothingLeft(engine)},
		Setup: func(env *testscript.Env) error {
			probe, err := dockertest.Probe()
			if err != nil {
				return err
			}
			path := []string{filepath.Dir(faultbox), filepath.Dir(probe), env.Getenv("PATH")}
			env.Setenv("PATH", strings.Join(path, string(os.PathListSeparator)))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			env.Setenv("DOCKER_HOST", engine.Host)
			env.Setenv("DOCKER_BUILDKIT", "0")
			return os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o777)
		},
	}
}

// nothingLeft fails if the engine has anything but images, or a cable or a
// cgroup is left. Scripts run one at a time: what there is is theirs.
func nothingLeft(engine *dockertest.Engine) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		left, err := engine.Left()
		ts.Check(err)
		links, err := exec.Command("ip", "-br", "link").Output()
		ts.Check(err)
		for line := range strings.Lines(string(links)) {
			if name := strings.Fields(line)[0]; strings.HasPrefix(name, "fbx") || strings.HasPrefix(name, "veth") || strings.HasPrefix(name, "br-") || strings.HasPrefix(name, "podman") {
				left = append(left, "link "+name)
			}
		}
		if neg != (len(left) > 0) {
			ts.Fatalf("left behind: %s", fmt.Sprint(left))
		}
	}
}
