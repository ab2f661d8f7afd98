package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"faultbox/cmd/faultbox/demo/pgserver"
	"faultbox/intercept/syscalls"
	"faultbox/runtime/process"
)

func TestMain(m *testing.M) {
	syscalls.Helper()
	process.Helper()
	testscript.Main(m, map[string]func(){
		"faultbox":    main,
		"web":         web,
		"udp-echo":    udpEcho,
		"shop":        shop,
		"quitter":     func() { fmt.Println("cannot find my settings"); os.Exit(3) },
		"sleeper":     sleeper,
		"make-certs":  makeCerts,
		"as-nobody":   asNobody,
		"still-there": stillThere,
		"latin1":      func() { os.WriteFile("latin1.star", []byte("x = \"\xe9\"\n"), 0o666) },
	})
}

func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script")) }

// TestKilled is by itself, one script at a time: every faultbox that starts on
// this machine ends what a killed one left, and the scripts look at that first.
func TestKilled(t *testing.T) { testscript.RunT(inTurn{t}, scripts("testdata/killed")) }

// inTurn is a test whose scripts run one after the other.
type inTurn struct{ *testing.T }

func (t inTurn) Parallel()     {}
func (t inTurn) Verbose() bool { return testing.Verbose() }
func (t inTurn) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(inTurn{t}) })
}

func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Getuid() == 0, nil
			case "postgres": // which Debian has in no PATH
				_, err := pgserver.Find()
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"interrupt":          interrupt,
			"interrupt-anywhere": interruptAnywhere,
			"nothing-left":       nothingLeft,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			return os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o777)
		},
	}
}

// web is a small service of the scripts: HTTP in front, Redis behind.
func web() {
	rdb := redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS"), MaxRetries: -1, ReadTimeout: 10 * time.Second})
	if names := os.Getenv("NAMES"); names != "" {
		askAt(names)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	mux.HandleFunc("PUT /kv/{key}", func(w http.ResponseWriter, r *http.Request) {
		if err := rdb.Set(r.Context(), r.PathValue("key"), "v", 0).Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /kv/{key}", func(w http.ResponseWriter, r *http.Request) {
		v, err := rdb.Get(r.Context(), r.PathValue("key")).Result()
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		fmt.Fprint(w, v)
	})
	mux.HandleFunc("GET /via", func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(os.Getenv("BACKEND"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	})
	mux.HandleFunc("GET /die", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "half an ans")
		w.(http.Flusher).Flush()
		os.Exit(1)
	})
	listen := func() error { return http.ListenAndServe(":"+os.Getenv("PORT"), mux) }
	if dir := os.Getenv("CERTS"); dir != "" {
		listen = func() error {
			return http.ListenAndServeTLS(":"+os.Getenv("PORT"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), mux)
		}
	}
	if err := listen(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// sleeper runs and never listens; it ignores SIGTERM.
func sleeper() {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("waiting for Godot")
	time.Sleep(time.Hour)
}

// stillThere enters the namespace of a service named web that lives in this
// folder and asks it for /ok.
func stillThere() {
	work, _ := os.Getwd()
	procs, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, p := range procs {
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
		if cwd, err := os.Readlink(p); err != nil || cwd != work || !strings.HasSuffix(strings.TrimRight(string(cmdline), "\x00"), "web") {
			continue
		}
		out, err := exec.Command("nsenter", "--net="+filepath.Join(filepath.Dir(p), "ns/net"), "curl", "-s", "http://localhost:8080/ok").CombinedOutput()
		fmt.Println(string(out), err)
		return
	}
	fmt.Println("no service web lives here")
	os.Exit(1)
}

// interrupt starts a command, sends it a signal once its output has a text,
// and checks its exit code: interrupt SIGNAL TEXT CODE command args…
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: interrupt SIGNAL TEXT CODE command args…")
	}
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[0]]
	text, code := args[1], args[2]
	out := filepath.Join(ts.Getenv("WORK"), "interrupted.out")
	f, err := os.Create(out)
	ts.Check(err)
	defer f.Close()
	cmd := commandIn(ts, args[3], args[4:]...)
	cmd.Stdout, cmd.Stderr = f, f
	ts.Check(cmd.Start())
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, _ := os.ReadFile(out)
		if strings.Contains(string(b), text) {
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			ts.Fatalf("%q never came; output:\n%s", text, b)
		}
		time.Sleep(2 * time.Millisecond)
	}
	ts.Check(cmd.Process.Signal(sig))
	cmd.Process.Signal(sig) // twice: the second changes nothing
	cmd.Wait()
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != code {
		b, _ := os.ReadFile(out)
		ts.Fatalf("exit code %s, want %s; output:\n%s", got, code, b)
	}
}

// nothingLeft checks that the script's runs left no process, cgroup or file.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	work := ts.Getenv("WORK")
	left, err := os.ReadDir(filepath.Join(work, "tmp"))
	ts.Check(err)
	for _, e := range left {
		ts.Fatalf("file left: %s", e.Name())
	}
	procs, err := filepath.Glob("/proc/[0-9]*/cwd")
	ts.Check(err)
	for _, p := range procs {
		if cwd, err := os.Readlink(p); err == nil && strings.HasPrefix(cwd+"/", work+"/") {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
			ts.Fatalf("process left: %s %q", filepath.Dir(p), cmdline)
		}
	}
}
