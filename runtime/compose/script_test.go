//go:build linux

package compose_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"faultbox/runtime/docker/dockertest"
)

func TestMain(m *testing.M) { dockertest.Main(m) }

// TestScripts runs faultbox, as users have it, on compose projects and a real
// engine. The images that a script needs stand in its first line: "# images: NAME…".
func TestScripts(t *testing.T) {
	engine := dockertest.Start(t)
	faultbox := dockertest.Faultbox(t)
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run("on "+name, func(t *testing.T) { // the next begins when this has ended
			if err := engine.Empty(); err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			if names, ok := strings.CutPrefix(first, "# images: "); ok {
				engine.Images(t, strings.Fields(names)...)
			}
			testscript.Run(t, params(t, engine, faultbox, file))
		})
	}
}

func params(t *testing.T, engine *dockertest.Engine, faultbox, file string) testscript.Params {
	return testscript.Params{
		Files: []string{file},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"nothing-left": nothingLeft(engine),
			"program":      program(t),
			"kill-9":       kill,
		},
		Condition: func(cond string) (bool, error) {
			program, ok := strings.CutPrefix(cond, "has:")
			_, err := exec.LookPath(program)
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(faultbox)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			env.Setenv("DOCKER_HOST", engine.Host)
			env.Setenv("DOCKER_BUILDKIT", "0")
			return os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o777)
		},
	}
}

// program builds one of this module's programs: program PACKAGE FILE.
func program(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: program PACKAGE FILE")
		}
		dockertest.Build(t, args[0], ts.MkAbs(args[1]))
	}
}

// kill sends SIGKILL to the process whose number a file has: kill-9 FILE.
func kill(ts *testscript.TestScript, neg bool, args []string) {
	var pid int
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kill-9 FILE")
	}
	if _, err := fmt.Sscan(ts.ReadFile(args[0]), &pid); err != nil || pid < 2 {
		ts.Fatalf("%s holds no process number", args[0])
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

// nothingLeft fails if the engine has anything but images, or a cable is left.
func nothingLeft(engine *dockertest.Engine) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		left, err := engine.Left()
		ts.Check(err)
		links, err := exec.Command("ip", "-br", "link").Output()
		ts.Check(err)
		for line := range strings.Lines(string(links)) {
			if name := strings.Fields(line)[0]; strings.HasPrefix(name, "fbx") || strings.HasPrefix(name, "veth") || strings.HasPrefix(name, "br-") {
				left = append(left, "link "+name)
			}
		}
		if neg != (len(left) > 0) {
			ts.Fatalf("left behind: %s", fmt.Sprint(left))
		}
	}
}
