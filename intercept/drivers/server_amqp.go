package drivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// RabbitMQ starts a RabbitMQ server for the test and returns its address. User
// guest has the password guest. conf are lines of its configuration.
func RabbitMQ(t testing.TB, conf ...string) (addr string) {
	t.Helper()
	bin := "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(bin); err != nil {
		t.Skip("needs rabbitmq-server: apt-get install -y --no-install-recommends rabbitmq-server")
	}
	epmd := newest(t, "rabbitmq-server", "/usr/lib/erlang/erts-*/bin/epmd")
	dir := folder(t, "rabbitmq")
	port, names, dist := FreePort(t), FreePort(t), FreePort(t)
	addr = "127.0.0.1:" + port
	text := strings.Join(append([]string{"listeners.tcp.1 = " + addr}, conf...), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "rabbitmq.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// The register of Erlang's nodes. Left to itself the server would start one
	// that outlives it.
	registry := as(t, "rabbitmq", epmd, "-address", "127.0.0.1", "-port", names, "-relaxed_command_check")
	registry.Env = append(os.Environ(), "HOME="+dir)
	run(t, registry, syscall.SIGKILL, func() error { return accepts("127.0.0.1:" + names) })

	cmd := as(t, "rabbitmq", bin)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME=fb"+port+"@localhost",
		"RABBITMQ_DIST_PORT="+dist, "ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"), "RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"))
	run(t, cmd, syscall.SIGTERM, func() error {
		if err := accepts(addr); err != nil {
			return err
		}
		return booted(filepath.Join(dir, "pid"), filepath.Join(dir, "log"))
	})
	serves(addr, "RabbitMQ "+rabbitVersion(t), "")
	return addr
}

func rabbitVersion(t testing.TB) string {
	return strings.TrimPrefix(filepath.Base(newest(t, "rabbitmq-server", "/usr/lib/rabbitmq/lib/rabbitmq_server-*")), "rabbitmq_server-")
}

// booted reports whether a RabbitMQ server says in its log that it has started.
// Its ports accept a moment before.
func booted(pid, logs string) error {
	b, err := os.ReadFile(pid)
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		return fmt.Errorf("read its pid: %w", err)
	}
	files, _ := filepath.Glob(filepath.Join(logs, "*.log"))
	for _, name := range files {
		if exec.Command("grep", "-q", "Server startup complete", name).Run() == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not say that it is up", logs)
}
