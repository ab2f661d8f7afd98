package spec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/runtime"
)

// testProject is a project of a web service and its database. Its other
// services say how it was asked for.
func testProject(_ context.Context, q runtime.ProjectQuery) (*runtime.Project, error) {
	switch {
	case q.Up == "" && len(q.Files) == 0:
		return nil, errors.New("name a compose file")
	case len(q.Files) == 1 && filepath.Base(q.Files[0]) == "bad.yaml":
		return nil, errors.New("bad.yaml:3: bad")
	}
	p := &runtime.Project{
		Services: []*runtime.Service{
			{Name: "db", Image: "postgres:16", Settings: &runtime.Settings{}},
			{Name: "web", Image: "web", DependsOn: []string{"db"}, Settings: &runtime.Settings{}},
			{Name: "order-api", Image: "api", Env: []string{fmt.Sprintf("QUERY=%v %v %v %v %v %v", len(q.Files), q.Up, q.Profiles, q.Env, q.Ignore, q.Publish)}},
		},
		Guesses:  map[string][]runtime.Guess{"db": {{Name: "main", Protocol: "postgres", Port: 5432}}, "order-api": {{Name: "main", Protocol: "unheard-of", Port: 1}}},
		Warnings: []string{"compose.yaml:1: without something"},
	}
	return p, nil
}

func TestCompose(t *testing.T) {
	s := loadText(t, `
services = compose(["compose.yaml", "more.yaml"], profiles = "dev", env = {"TAG": 1}, ignore = ["a"], ports = True,
    interfaces = {"web": [interface("main", "http", 80), interface("admin", "http", 81)], "order-api": []})
names = [n for n in services]
def test_it():
    assert_eq(names, ["db", "web", "order-api"])
    assert_eq(services["web"].admin.port, 81)
    assert_eq(services.db.internal_addr, "db:5432")
`)
	if len(s.Services) != 3 || len(s.Services[0].Interfaces) != 1 || len(s.Services[1].Interfaces) != 2 || len(s.Services[2].Interfaces) != 0 {
		t.Errorf("services %+v", s.Services)
	}
	if got := s.Services[1].DependsOn; len(got) != 1 || got[0] != "db" {
		t.Errorf("web depends on %v", got)
	}
	if got := s.Services[2].Getenv("QUERY"); got != "2  [dev] map[TAG:1] [a] true" {
		t.Errorf("asked for %q", got)
	}
	if len(s.Warnings) != 1 || s.Warnings[0] != "compose.yaml:1: without something" {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestComposeMistakes(t *testing.T) {
	for src, want := range map[string]string{
		`compose("bad.yaml")`:                 "faultbox.star:1:1: compose: bad.yaml:3: bad",
		`compose()`:                           "name a compose file",
		`compose("a.yaml", project = "shop")`: "give one of them",
		`compose("a.yaml", interfaces = {"wob": interface("m", "http", 80)})`: "the project has no service \"wob\"; did you mean `web`?",
		`compose("a.yaml", interfaces = {"web": 80})`:                         "want interface(…), or a list of them",
		`compose("a.yaml").wob`:                                               "did you mean `web`?",
		`compose("a.yaml")["wob"]`:                                            "did you mean `web`?",
		`compose("a.yaml", portss = True)`:                                    "did you mean `ports`?",
		`service("db", image = "x")` + "\n" + `compose("a.yaml")`:             "two services are named \"db\"; the other is at faultbox.star:1:1",
		`compose("a.yaml")` + "\n" + `compose("b.yaml")`:                      "two services are named \"db\"",
	} {
		chdir(t, map[string]string{"faultbox.star": src + "\n"})
		_, err := Load(context.Background(), "faultbox.star", testOptions())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %q", src, err, want)
		}
	}
}
