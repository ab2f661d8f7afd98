//go:build linux

package chapter

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"faultbox/runtime/docker/dockertest"
)

func TestMain(m *testing.M) { dockertest.Main(m) }

// section is a part of the chapter with a spec in it.
type section struct{ title, spec string }

var (
	heading   = regexp.MustCompile(`^[A-Za-z]+: [A-Z][a-z]+-level faults$|^MySQL: Same API, different protocol$`)
	beginning = regexp.MustCompile(`^[a-z_]+ = service\(`)
)

// sections takes the specs out of the chapter's text. A spec goes from the
// first service to the last line that ends a statement at the left margin.
func sections(t *testing.T) (all []section) {
	t.Helper()
	text, err := os.ReadFile("testdata/chapter-8-database-and-broker-faults.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for at, line := range lines {
		if !heading.MatchString(line) {
			continue
		}
		from, to := 0, 0
		for n := at + 1; n < len(lines) && !heading.MatchString(lines[n]); n++ {
			if from == 0 && beginning.MatchString(lines[n]) {
				from = n
			}
			if lines[n] == ")" {
				to = n
			}
		}
		title, _, _ := strings.Cut(line, ":")
		all = append(all, section{title, strings.Join(lines[from:to+1], "\n") + "\n"})
	}
	if len(all) != 5 {
		t.Fatalf("found %d specs in the chapter, want 5", len(all))
	}
	return all
}

// api is the declaration of the services that later sections take for granted.
func api(t *testing.T, first section) string {
	t.Helper()
	text, _, ok := strings.Cut(first.spec, "# --- Scenarios")
	if !ok {
		t.Fatal("the first section does not declare the api before its scenarios")
	}
	return text
}

// verdict is what a report says about one test.
type verdict struct {
	Type, Name, Verdict, Reason string
	Logs                        map[string][]string
	Faults                      []struct {
		Name    string
		Acted   int
		Touched []struct {
			Op, From, To, Outcome string
			Count                 int
		}
	}
}

// want is what a section's fault must have touched: "op from to outcome".
var want = map[string]string{
	"insert_fails":     "INSERT api postgres answered 53100",
	"slow_query":       "SELECT api postgres delayed 3s",
	"mysql_read_only":  "INSERT api mysql answered 1036",
	"redis_readonly":   "SET api redis answered READONLY",
	"cache_miss":       "GET api redis answered with the fault's response",
	"slow_cache":       "GET api redis delayed 2s",
	"message_drop":     "Produce api kafka lost",
	"slow_delivery":    "Produce api kafka delayed 5s",
	"auth_unavailable": "/auth.AuthService/Authenticate api auth answered UNAVAILABLE",
	"slow_auth":        "/auth.AuthService/Authenticate api auth delayed 5s",
}

func TestChapter(t *testing.T) {
	if os.Getenv("FAULTBOX_CHAPTER") == "" {
		t.Skip("runs by itself: make chapter")
	}
	engine := dockertest.Start(t)
	engine.Images(t)
	faultbox := dockertest.Faultbox(t)
	dir := t.TempDir()
	for _, name := range []string{"api", "worker"} {
		dockertest.Build(t, "faultbox/cmd/chapter/"+name, filepath.Join(dir, name, name))
		dockerfile, err := os.ReadFile(filepath.Join(name, "Dockerfile"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "Dockerfile"), dockerfile, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := sections(t)
	before := api(t, all[0])
	for n, s := range all {
		t.Run(s.title, func(t *testing.T) {
			text := s.spec
			if n > 0 {
				text = before + text
			}
			file := filepath.Join(dir, strings.ToLower(s.title)+".star")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			check(t, faultbox, file)
			left, err := engine.Left()
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

// check runs a spec and checks every verdict in its report.
func check(t *testing.T, faultbox, file string) {
	cmd := exec.Command(faultbox, "test", file, "--format", "json", "--seed", "8")
	var report, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &report, &messages
	runErr := cmd.Run()
	tests := 0
	for d := json.NewDecoder(&report); d.More(); {
		var v verdict
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v.Type != "test" {
			continue
		}
		tests++
		if v.Verdict != "passed" {
			t.Errorf("%s: %s: %s; last lines of its services: %q", v.Name, v.Verdict, v.Reason, v.Logs)
		}
		touch, faulted := want[v.Name]
		if !faulted {
			if len(v.Faults) > 0 {
				t.Errorf("%s: has faults, and none is expected", v.Name)
			}
			continue
		}
		var touched []string
		for _, f := range v.Faults {
			for _, x := range f.Touched {
				touched = append(touched, strings.Join([]string{x.Op, x.From, x.To, x.Outcome}, " "))
			}
		}
		if len(v.Faults) != 1 || v.Faults[0].Acted == 0 || !strings.Contains(strings.Join(touched, "\n"), touch) {
			t.Errorf("%s: the fault touched %q, want %q", v.Name, touched, touch)
		}
		t.Logf("%s: %s", v.Name, strings.Join(touched, "; "))
	}
	if runErr != nil || tests == 0 {
		t.Errorf("faultbox test: %v, %d tests\n%s", runErr, tests, messages.Bytes())
	}
}
