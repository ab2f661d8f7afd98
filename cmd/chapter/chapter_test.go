//go:build linux

package chapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
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

const chapter = "chapter-8-database-and-broker-faults.txt"

// published is where the chapter's text comes from, if it is there.
const published = "../../../shared/seed/" + chapter

func TestText(t *testing.T) {
	want, err := os.ReadFile(published)
	if errors.Is(err, fs.ErrNotExist) {
		return // the copy stands for it
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("testdata", chapter))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("testdata/%s is not what was published: copy it again", chapter)
	}
}

// sections takes the specs out of the chapter's text. A spec goes from the
// first service to the last line that ends a statement at the left margin.
func sections(t *testing.T) (all []section) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", chapter))
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
	everyLine(t, string(text), all)
	return all
}

// code is what a line of a spec looks like, and no line of prose.
var code = regexp.MustCompile(`^(def |[a-z_]+ = |[a-z_]+\(.*[,(]$| {4}|\)$|# )`)

// everyLine fails if some code of the chapter is in no spec.
func everyLine(t *testing.T, text string, all []section) {
	t.Helper()
	for _, s := range all {
		if !strings.Contains(text, s.spec) {
			t.Fatalf("the spec of %s is not the chapter's text", s.title)
		}
		text = strings.Replace(text, s.spec, "", 1)
	}
	for line := range strings.Lines(text) {
		if code.MatchString(line) {
			t.Errorf("in no spec: %s", line)
		}
	}
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

	"some_are_lost": {"Produce api kafka lost"},
	"most_arrive":   {"Produce api kafka lost"},
	"one_is_late":   {"Produce api kafka delayed 5s"},

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

// TestWorker checks what the chapter says of its worker in comments.
func TestWorker(t *testing.T) {
	engine, dir := prepare(t, "postgres", "kafka")
	more, err := os.ReadFile("testdata/worker.star")
	if err != nil {
		t.Fatal(err)
	}
	all := sections(t)
	topology, _, ok := strings.Cut(all[3].spec, "# --- Fault scenarios")
	if all[3].title != "Kafka" || !ok {
		t.Fatal("the fourth section is not that of Kafka, or has no fault scenarios")
	}
	runSpec(t, engine, filepath.Join(dir, "worker.star"), api(t, all[0])+topology+string(more))
}

// declared finds the names of a spec's tests.
var declared = regexp.MustCompile(`(?m)^(?:fault_scenario\("(\w+)"|scenario\((\w+)\))`)

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
	tests := map[string]bool{}
	for d := json.NewDecoder(&report); d.More(); {
		var v verdict
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if v.Type == "test" {
			tests[v.Name] = true
			judge(t, &v)
		}
	}
	for _, m := range declared.FindAllStringSubmatch(text, -1) {
		if !tests[m[1]+m[2]] {
			t.Errorf("%s%s did not run", m[1], m[2])
		}
	}
	if runErr != nil || len(tests) == 0 {
		t.Errorf("faultbox test: %v, %d tests\n%s", runErr, len(tests), messages.Bytes())
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
