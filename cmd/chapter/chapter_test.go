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

// want is what the faults of a test must have touched: "op from to outcome".
var want = map[string][]string{
	"insert_fails":     {"INSERT api postgres answered 53100"},
	"slow_query":       {"SELECT api postgres delayed 3s"},
	"mysql_read_only":  {"INSERT api mysql answered 1036"},
	"redis_readonly":   {"SET api redis answered READONLY"},
	"cache_miss":       {"GET api redis answered with the fault's response"},
	"slow_cache":       {"GET api redis delayed 2s"},
	"message_drop":     {"Produce api kafka lost"},
	"slow_delivery":    {"Produce api kafka delayed 5s"},
	"auth_unavailable": {"/auth.AuthService/Authenticate api auth answered UNAVAILABLE"},
	"slow_auth":        {"/auth.AuthService/Authenticate api auth delayed 5s"},

	"disk_full":                  {"pwrite64 postgres", "denied ENOSPC"},
	"no_cache_and_slow_database": {"connect api", "denied ECONNREFUSED", "SELECT api postgres delayed 1s"},
	"slow_everywhere":            {"GET api redis delayed 2s", "fdatasync postgres", "delayed 400ms"},
}

// prepare makes the images, and a folder with what the specs build.
func prepare(t *testing.T, images ...string) (engine *dockertest.Engine, dir string) {
	t.Helper()
	engine = dockertest.Start(t)
	engine.Images(t, images...)
	dir = t.TempDir()
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
	return engine, dir
}

func TestChapter(t *testing.T) {
	engine, dir := prepare(t)
	all := sections(t)
	before := api(t, all[0])
	for n, s := range all {
		t.Run(s.title, func(t *testing.T) {
			text := s.spec
			if n > 0 {
				text = before + text
			}
			runSpec(t, engine, filepath.Join(dir, strings.ToLower(s.title)+".star"), text)
		})
	}
}

// TestCombined adds faults of system calls.
func TestCombined(t *testing.T) {
	engine, dir := prepare(t, "postgres", "redis")
	more, err := os.ReadFile("testdata/combined.star")
	if err != nil {
		t.Fatal(err)
	}
	runSpec(t, engine, filepath.Join(dir, "combined.star"), api(t, sections(t)[0])+string(more))
}

// runSpec runs a spec, judges every test in its report, and checks that nothing
// is left of it.
func runSpec(t *testing.T, engine *dockertest.Engine, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dockertest.Faultbox(t), "test", file, "--format", "json", "--seed", "8")
	var report, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &report, &messages
	runErr := cmd.Run()
	tests := 0
	for d := json.NewDecoder(&report); d.More(); {
		var v verdict
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v.Type == "test" {
			tests++
			judge(t, &v)
		}
	}
	if runErr != nil || tests == 0 {
		t.Errorf("faultbox test: %v, %d tests\n%s", runErr, tests, messages.Bytes())
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// judge checks that a test passed and that its faults touched what they are to.
func judge(t *testing.T, v *verdict) {
	t.Helper()
	if v.Verdict != "passed" {
		t.Errorf("%s: %s: %s; last lines of its services: %q", v.Name, v.Verdict, v.Reason, v.Logs)
	}
	var touched []string
	for _, f := range v.Faults {
		if f.Acted == 0 {
			t.Errorf("%s: %s acted on nothing", v.Name, f.Name)
		}
		for _, x := range f.Touched {
			touched = append(touched, strings.Join([]string{x.Op, x.From, x.To, x.Outcome}, " "))
		}
	}
	all := strings.Join(touched, "; ")
	if (len(v.Faults) > 0) != (want[v.Name] != nil) {
		t.Errorf("%s: has %d faults, want %q", v.Name, len(v.Faults), want[v.Name])
	}
	for _, touch := range want[v.Name] {
		if !strings.Contains(all, touch) {
			t.Errorf("%s: its faults touched %q, want %q", v.Name, all, touch)
		}
	}
	if all != "" {
		t.Logf("%s: %s", v.Name, all)
	}
}
