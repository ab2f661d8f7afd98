//go:build linux

package syscalls

import (
	"os"
	"strings"
	"testing"

	"faultbox/intercept"
)

// TestCrashAfterLies kills a program whose fsyncs were lied about: its files
// hold what they held when they were last really synced.
func TestCrashAfterLies(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"overwritten", `os.write(f, b"AAAA"); os.fsync(f); os.pwrite(f, b"BB", 1); os.fsync(f)`, "AAAA"},
		{"appended", `os.write(f, b"AAAA"); os.fsync(f); os.write(f, b"B" * 10000); os.fsync(f)`, "AAAA"},
		{"never synced", `os.write(f, b"AAAA")`, ""},
		{"truncated", `os.write(f, b"A" * 9000); os.fsync(f); os.ftruncate(f, 3); os.fsync(f)`, strings.Repeat("A", 9000)},
		{"opened anew", `os.write(f, b"A" * 9000); os.fsync(f); open(p, "wb").write(b"new")`, strings.Repeat("A", 9000)},
		{"appending", `os.write(f, b"AAAA"); os.fsync(f); g = os.open(p, os.O_WRONLY|os.O_APPEND); os.write(g, b"B" * 5000); os.pwrite(f, b"CC", 0)`, "AAAA"},
		{"vectors", `os.write(f, b"AAAA"); os.fsync(f); os.lseek(f, 2, 0); os.writev(f, [b"B", b"BBBBB"])`, "AAAA"},
		{"renamed", `os.write(f, b"AAAA"); os.fsync(f); os.write(f, b"BBBB"); os.rename(p, p + "2"); os.rename(p + "2", p)`, "AAAA"},
		{"by a child", `os.write(f, b"AAAA"); os.fsync(f)
if os.fork() == 0: os.write(f, b"BBBB"); os._exit(0)
os.wait()`, "AAAA"},
		{"mapped", `os.write(f, b"AAAA"); os.fsync(f); m = mmap.mmap(f, 4); m[1:3] = b"BB"; m.flush()`, "AAAA"},
		{"mapped, then closed", `os.write(f, b"A" * 9000); os.fsync(f); m = mmap.mmap(f, 4096, offset=4096); os.close(f); m[:] = b"B" * 4096`, strings.Repeat("A", 9000)},
		{"mapped, privately", `os.write(f, b"AAAA"); os.fsync(f); m = mmap.mmap(f, 4, mmap.MAP_PRIVATE); m[1:3] = b"BB"; os.pwrite(f, b"C", 0)`, "AAAA"},
		{"mapped, and synced for real", `os.write(f, b"AAAA"); os.fsync(f); m = mmap.mmap(f, 4); m[1:3] = b"BB"; os.sync(); m[0:1] = b"C"`, "ABBA"},
		{"synced for real again", `os.write(f, b"AAAA"); os.fsync(f); os.write(f, b"BBBB"); open(p + ".real", "w"); os.sync(); os.pwrite(f, b"CC", 3)`, "AAAABBBB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRecorder(
				rule(t, intercept.Fault{Do: intercept.Lie}, intercept.Trigger{After: 1, Prob: 1}, "call=fsync", "path="+dir+"/file"),
				rule(t, intercept.Fault{Do: intercept.Kill}, intercept.Always, "call=sched_rr_get_interval"),
			)
			w := start(t, r, append(intercept.LieCalls, "sched_rr_get_interval"), "python3", "-c", `
import mmap, os, sys
p = sys.argv[1] + "/file"
f = os.open(p, os.O_CREAT|os.O_RDWR)
`+c.code+`
os.sched_rr_get_interval(0); print("still there")`, dir)
			w.Wait()
			w.attached.Close()
			if w.ProcessState.ExitCode() != -1 || w.out.Len() > 0 {
				t.Errorf("%s, output %q", w.ProcessState, w.out.String())
			}
			if b, err := os.ReadFile(dir + "/file"); string(b) != c.want {
				t.Errorf("the file holds %.60q (%d bytes), %v; want %.60q; %q", b, len(b), err, c.want, r.notes())
			}
			if notes := r.notes(); (len(notes) != 1 || !strings.Contains(notes[0], dir+"/file")) && c.name != "synced for real again" {
				t.Errorf("notes %q", notes)
			}
		})
	}
}
