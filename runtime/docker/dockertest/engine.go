//go:build linux

package dockertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Engine is an engine that runs.
type Engine struct {
	Host string // for DOCKER_HOST

	dir     string // its socket, state and log
	data    string
	command func(*Engine) *exec.Cmd
	lock    *os.File
	cmd     *exec.Cmd
	done    chan struct{}
}

var (
	shared     *Engine
	sharedErr  error
	sharedOnce sync.Once
)

// Start returns the engine of this test binary, starting it for the first who
// asks, with nothing in it but images. It sets DOCKER_HOST for the test.
func Start(tb testing.TB) *Engine {
	tb.Helper()
	if why := lacks(); why != "" {
		tb.Skip(why)
	}
	if os.Getenv(marker) == "" {
		tb.Fatal("TestMain of this package does not call dockertest.Main")
	}
	sharedOnce.Do(func() {
		data := "docker"
		if os.Getenv(marker) == stageUnder { // at the same time as the one outside
			data = "docker-systemd"
		}
		shared, sharedErr = launch(data, dockerd)
	})
	if sharedErr != nil {
		tb.Fatal(sharedErr)
	}
	if t, ok := tb.(*testing.T); ok {
		setenv(t, "DOCKER_HOST", shared.Host)
	} else {
		os.Setenv("DOCKER_HOST", shared.Host)
	}
	return shared
}

// setenv is t.Setenv, which parallel tests may not use: there is one engine.
func setenv(_ *testing.T, key, value string) { os.Setenv(key, value) }

// cacheDir is where tests keep what takes long to make.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "faultbox-tests"), err
}

// launch starts an engine on the data of the runs before. Another test binary
// that uses them is waited for.
func launch(name string, command func(*Engine) *exec.Cmd) (*Engine, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	e := &Engine{data: filepath.Join(cache, name), command: command}
	if err := os.MkdirAll(e.data, 0o710); err != nil {
		return nil, err
	}
	if e.lock, err = os.OpenFile(e.data+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(e.lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	if e.dir, err = os.MkdirTemp("", "faultbox-docker-"); err != nil {
		return nil, err
	}
	e.Host = "unix://" + filepath.Join(e.dir, "sock")
	if err := e.Up(); err != nil {
		return nil, err
	}
	// What a run that was killed left: containers, networks.
	return e, errors.Join(e.Empty(), e.dropBuilds())
}

// close ends an engine and removes what it has, but for images.
func (e *Engine) close() error {
	return errors.Join(e.Empty(), e.Down(), os.RemoveAll(e.dir), e.lock.Close())
}

// dropBuilds removes the images that faultbox has built of folders, so that
// tests find them not yet built.
func (e *Engine) dropBuilds() error {
	out, err := e.Docker("images", "--quiet", "--filter", "label=faultbox.build")
	if err != nil || out == "" {
		return err
	}
	_, err = e.Docker(append([]string{"rmi", "--force"}, strings.Fields(out)...)...)
	return err
}

// Up starts the engine, again after Down.
func (e *Engine) Up() error {
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	e.cmd = e.command(e)
	name := e.cmd.Args[0]
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	e.done = make(chan struct{})
	go func() { e.cmd.Wait(); close(e.done) }()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if e.answers() {
			return nil
		}
		select {
		case <-e.done:
			return fmt.Errorf("start %s: it ended: %s", name, e.tail())
		default:
		}
		if time.Since(begin) > time.Minute {
			return errors.Join(fmt.Errorf("start %s: it does not answer: %s", name, e.tail()), e.Down())
		}
	}
}

func (e *Engine) answers() bool {
	c := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(e.Host, "unix://"))
		}}}
	answer, err := c.Get("http://docker/_ping")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode == http.StatusOK
}

func (e *Engine) tail() string {
	text, _ := os.ReadFile(filepath.Join(e.dir, "log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// Down stops the engine, and the containers with it.
func (e *Engine) Down() error {
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.done:
		return nil
	case <-time.After(time.Minute):
		e.cmd.Process.Kill()
		return fmt.Errorf("stop %s: it takes more than a minute", e.cmd.Args[0])
	}
}

// Docker runs a docker command and returns what it printed.
func (e *Engine) Docker(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_BUILDKIT=0")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s%s", strings.Join(args, " "), err, out.Bytes(), errOut.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}

// Must is Docker for a command that has to work.
func (e *Engine) Must(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := e.Docker(args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Left lists the containers, networks and volumes that are there.
func (e *Engine) Left() ([]string, error) {
	var left []string
	for _, list := range [][]string{
		{"ps", "--all", "--format", "container {{.Names}}"},
		{"network", "ls", "--format", "network {{.Name}}"},
		{"volume", "ls", "--format", "volume {{.Name}}"},
	} {
		out, err := e.Docker(list...)
		if err != nil {
			return nil, err
		}
		for _, entry := range strings.Split(out, "\n") {
			switch entry {
			case "", "network bridge", "network host", "network none": // an engine's own
			default:
				left = append(left, entry)
			}
		}
	}
	return left, nil
}

// Empty removes the containers, networks and volumes that there are.
func (e *Engine) Empty() error {
	for try := 0; ; try++ {
		left, err := e.Left()
		if err != nil || len(left) == 0 {
			return err
		}
		var errs []error // of what went together with something else, too
		for _, entry := range left {
			kind, name, _ := strings.Cut(entry, " ")
			if kind == "container" {
				_, err = e.Docker("rm", "--force", "--volumes", name)
			} else {
				_, err = e.Docker(kind, "rm", name)
			}
			errs = append(errs, err)
		}
		if try == 2 {
			return errors.Join(errs...)
		}
	}
}

// stop ends the engine of this test binary, if there is one.
func stop() error {
	if shared == nil {
		return nil
	}
	return shared.close()
}
