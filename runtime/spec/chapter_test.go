package spec

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/intercept"
)

// TestChapter loads the published tutorial chapter, word for word.
func TestChapter(t *testing.T) {
	s, err := Load(context.Background(), "testdata/chapter8.star", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, svc := range s.Services {
		services = append(services, svc.Name)
	}
	if got := strings.Join(services, " "); got != "postgres api mysql redis kafka worker auth" {
		t.Errorf("services: %s", got)
	}
	api := s.Service("api")
	if api.Build != filepath.Join(s.Dir, "api") {
		t.Errorf("build of api: %q", api.Build)
	}
	if got := fmt.Sprint(api.Env); got != "[DATABASE_URL=postgres://test@postgres:5432/testdb]" {
		t.Errorf("env of api: %s", got)
	}
	if h := api.Health; h == nil || h.Kind != "http" || h.Addr != "localhost:8080/health" {
		t.Errorf("health of api: %+v", h)
	}
	if got := fmt.Sprint(api.DependsOn); got != "[postgres]" {
		t.Errorf("api depends on %s", got)
	}
	var tests []string
	for _, test := range s.Tests {
		tests = append(tests, test.Name)
	}
	want := "create_user get_user insert_fails slow_query create_user_mysql mysql_read_only write_cache read_cache " +
		"redis_readonly cache_miss slow_cache publish_orders publish_single_order message_drop slow_delivery login auth_unavailable slow_auth"
	if got := strings.Join(tests, " "); got != want {
		t.Errorf("tests:\n got %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{
		"insert_fails":     `insert_error postgres.main answer "53100 disk full" query="INSERT*" on postgres`,
		"message_drop":     `message_drop kafka.main lose topic="orders.events" on kafka, probability=0.3`,
		"redis_readonly":   `redis_readonly redis.main answer " READONLY" command="SET", key="*" on redis`,
		"cache_miss":       `cache_miss redis.main answer " " command="GET", key="*" on redis`,
		"slow_select":      "",
		"auth_unavailable": `auth_unavailable auth.grpc answer " " method="/auth.AuthService/Authenticate" on auth`,
	} {
		if want == "" {
			continue
		}
		test := findTest(t, s, name)
		if len(test.Rules) != 1 {
			t.Errorf("%s has %d rules", name, len(test.Rules))
			continue
		}
		r := test.Rules[0]
		got := fmt.Sprintf("%s %s.%s %s", r.Name, r.To, r.Interface, r.Fault.Do)
		if r.Fault.Reply != nil {
			got += fmt.Sprintf(" %q", r.Fault.Reply.Code+" "+r.Fault.Reply.Message)
		}
		terms := strings.TrimPrefix(r.String(), r.To+" ")
		terms, rest, _ := strings.Cut(terms, ", probability")
		if rest != "" {
			rest = ", probability" + rest
		}
		if got += " " + terms + " on " + r.To + rest; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	if r := findTest(t, s, "slow_query").Rules[0]; r.Fault.Do != intercept.Pass || r.Fault.Delay.String() != "3s" || r.Pos != "testdata/chapter8.star:35:5" {
		t.Errorf("slow_query: %+v at %s", r.Fault, r.Pos)
	}
}
