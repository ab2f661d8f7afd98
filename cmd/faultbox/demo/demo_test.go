package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/cmd/faultbox/demo/pgserver"
)

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		bug  bool
		want string
	}{{false, "\nBUGGY = False\n"}, {true, "\nBUGGY = True\n"}} {
		dir := t.TempDir()
		file, notes, err := Prepare(dir, c.bug)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), c.want) != 1 {
			t.Errorf("%s: want one line %q (%v)", file, c.want, err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if link, err := os.Readlink(filepath.Join(dir, "faultbox")); err != nil || link != self {
			t.Errorf("link to the program: %s, %v; want %s", link, err, self)
		}
		if len(notes) < 2 {
			t.Errorf("notes: %q", notes)
		}
	}
}

func TestWhatIsLeftOutIsSaid(t *testing.T) {
	bin, err := pgserver.Find()
	file, _, prepErr := Prepare(t.TempDir(), false)
	if prepErr != nil {
		t.Fatal(prepErr)
	}
	if small := filepath.Base(file) == "demo-small.star"; small != (err != nil) {
		t.Errorf("PostgreSQL in %q (%v), yet the spec is %s", bin, err, file)
	}
	for _, missing := range [][]string{describe("", ""), describe("", "/bin/redis-server"), describe("/bin", "")} {
		if all := strings.Join(missing, "\n"); !strings.Contains(all, "apt-get install") {
			t.Errorf("no word on how to install what is missing:\n%s", all)
		}
	}
	if all := strings.Join(describe("/bin", "/bin/redis-server"), "\n"); strings.Contains(all, "install") {
		t.Errorf("nothing is missing, yet:\n%s", all)
	}
}

func TestBothSpecsHaveTheSwitch(t *testing.T) {
	for name, text := range map[string][]byte{"demo.star": fullSpec, "demo-small.star": smallSpec} {
		if n := strings.Count(string(text), string(honest)); n != 1 {
			t.Errorf("%s has %d lines BUGGY = False, want 1", name, n)
		}
	}
}
