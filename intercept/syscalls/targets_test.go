//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// half denies every second fsync of a file below dir.
func half(tb testing.TB, dir string) *recorder {
	return newRecorder(rule(tb, deny(unix.EIO), intercept.Trigger{Every: 2, Prob: 1}, "call=fsync", "path="+dir+"/**"))
}

// TestLanguages counts the same calls of runtimes that make them from threads
// and under signals of their own.
func TestLanguages(t *testing.T) {
	const n = 200
	for _, c := range []struct{ name, file, source string }{
		{"node", "x.js", `
const fs = require('fs');
let failed = 0, left = ` + fmt.Sprint(n) + `;
for (let i = left; i > 0; i--) {
  const fd = fs.openSync(process.argv[2] + '/f' + i, 'w');
  fs.fsync(fd, err => { if (err && err.code == 'EIO') failed++; fs.closeSync(fd); if (--left == 0) console.log(failed); });
}`},
		{"java", "X.java", `
import java.nio.channels.*; import java.nio.file.*; import java.util.concurrent.atomic.*;
public class X {
  public static void main(String[] args) throws Exception {
    AtomicInteger failed = new AtomicInteger();
    Thread[] ts = new Thread[8];
    for (int t = 0; t < ts.length; t++) {
      final int id = t;
      (ts[t] = new Thread(() -> {
        try (FileChannel c = FileChannel.open(Path.of(args[0], "f" + id), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
          for (int i = 0; i < ` + fmt.Sprint(n/8) + `; i++) {
            try { c.force(true); } catch (java.io.IOException e) { failed.incrementAndGet(); }
            if (i % 5 == 0) System.gc();
          }
        } catch (Exception e) { System.out.println(e); }
      })).start();
    }
    for (Thread t : ts) t.join();
    System.out.println(failed.get());
  }
}`},
		{"python3", "x.py", `
import os, sys, threading
failed = []
def work(i):
    f = os.open(sys.argv[1] + "/f%d" % i, os.O_CREAT|os.O_WRONLY)
    for _ in range(` + fmt.Sprint(n/8) + `):
        try: os.fsync(f)
        except OSError: failed.append(1)
ts = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(failed))`},
		{"sh", "x.sh", `
i=0; failed=0
while [ $i -lt ` + fmt.Sprint(n) + ` ]; do
  dd if=/dev/null of=$1/f conv=fsync 2>/dev/null || failed=$((failed+1)); i=$((i+1))
done
echo $failed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs(t, c.name)
			dir := t.TempDir()
			data := dir + "/data"
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/"+c.file, []byte(c.source), 0o644); err != nil {
				t.Fatal(err)
			}
			r := half(t, data)
			out, code := run(t, r, []string{"fsync"}, c.name, dir+"/"+c.file, data)
			if a := r.Tally()[0]; a.Matched() != n || a.Acted() != n/2 || len(r.fired()) != n/2 {
				t.Errorf("matched %d, acted %d, %d events; want %d, %d, %d", a.Matched(), a.Acted(), len(r.fired()), n, n/2, n/2)
			}
			if strings.TrimSpace(out) != fmt.Sprint(n/2) || code != 0 {
				t.Errorf("the program saw %q failures, exit code %d", out, code)
			}
		})
	}
}

// TestServers runs servers with slow fsyncs: they start, work and end.
func TestServers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes PID namespaces")
	}
	for _, c := range []struct {
		name, start, use, want string
	}{
		{"redis-server", `exec redis-server --port $PORT --dir $DIR --appendonly yes --appendfsync always --save ''`,
			`redis-benchmark -p $PORT -t set -n 200 -c 4 -q >&2; redis-cli -p $PORT set k v`, "OK"},
		{"mariadbd", `mariadb-install-db --no-defaults --user=root --datadir=$DIR/data --auth-root-authentication-method=normal >/dev/null && exec mariadbd --no-defaults --user=root --datadir=$DIR/data --port=$PORT --bind-address=127.0.0.1 --socket=$DIR/s --innodb-flush-method=fsync`,
			`for i in 1 2 3; do mariadb --no-defaults -h 127.0.0.1 -P $PORT -u root -e "CREATE TABLE IF NOT EXISTS test.t (n INT) ENGINE=InnoDB; INSERT INTO test.t VALUES ($i)"; done; mariadb --no-defaults -h 127.0.0.1 -P $PORT -u root -sNe 'SELECT COUNT(*) FROM test.t'`, "3"},
		{"rabbitmq-server", `export HOME=$DIR RABBITMQ_NODENAME=fb$PORT@localhost RABBITMQ_MNESIA_BASE=$DIR RABBITMQ_LOG_BASE=$DIR RABBITMQ_NODE_PORT=$PORT RABBITMQ_DIST_PORT=$((PORT+20000>65000?PORT-20000:PORT+20000)) RABBITMQ_PID_FILE=$DIR/pid ERL_EPMD_PORT=$((PORT>40000?PORT-3000:PORT+3000)) RABBITMQ_ENABLED_PLUGINS_FILE=$DIR/plugins; exec /usr/lib/rabbitmq/bin/rabbitmq-server`,
			`export HOME=$DIR RABBITMQ_NODENAME=fb$PORT@localhost ERL_EPMD_PORT=$((PORT>40000?PORT-3000:PORT+3000)); for i in $(seq 30); do /usr/lib/rabbitmq/bin/rabbitmqctl await_startup >&2 && break; sleep 1; done; /usr/lib/rabbitmq/bin/rabbitmqctl eval '{new, _} = rabbit_amqqueue:declare(rabbit_misc:r(<<"/">>, queue, <<"x">>), true, false, [], none, <<"guest">>), ok.'`, "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needs(t, c.name)
			dir, err := os.MkdirTemp("/tmp", "faultbox-server-")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			port := freePort(t)
			head := "export DIR=" + dir + " PORT=" + port + "; "
			r := newRecorder(rule(t, intercept.Fault{Delay: 2 * time.Millisecond}, intercept.Always, "call=fsync", "path="+dir+"/**"))
			// The first process of the service is PID 1 of a namespace that ends with it.
			w := start(t, r, []string{"fsync", "connect"}, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", head+c.start)
			awaitPort(t, port)
			out, err := exec.Command("sh", "-c", head+c.use).CombinedOutput()
			if lines := strings.Fields(string(out)); err != nil || len(lines) == 0 || lines[len(lines)-1] != c.want {
				t.Errorf("use: %v: %s\nserver: %s", err, out, w.out.String())
			}
			w.Process.Signal(unix.SIGKILL)
			w.Wait()
			w.attached.Close()
			a := r.Tally()[0]
			if a.Matched() == 0 || a.Matched() != a.Acted() || uint64(len(r.fired())) != a.Acted() {
				t.Errorf("matched %d, acted %d, %d events", a.Matched(), a.Acted(), len(r.fired()))
			}
			t.Logf("%d fsyncs delayed", a.Acted())
		})
	}
}
