package spec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"faultbox/protocols"
	"faultbox/runtime"
)

// The protocols of the tests: names, fields and faults, without codecs.
func testProtocols() []*protocols.Protocol {
	op, key, text := protocols.OpField, protocols.KeyField, protocols.Field{Of: "text", Fold: true}
	p := func(name string, fields map[string]protocols.Field, faults string) *protocols.Protocol {
		return &protocols.Protocol{Name: name, Fields: fields, Faults: strings.Fields(faults)}
	}
	all := "error response delay drop duplicate truncate reset"
	sql := map[string]protocols.Field{"query": text}
	kv := map[string]protocols.Field{"command": op, "key": key}
	kafka := p("kafka", map[string]protocols.Field{"topic": key, "method": op}, "error delay drop duplicate reset")
	kafka.Lossy = true
	grpc := p("grpc", map[string]protocols.Field{"method": key}, "error delay drop reset")
	grpc.Check = func(r *protocols.Reply) error {
		if r.Status > 16 {
			return fmt.Errorf("status %d is none of gRPC's (0 to 16)", r.Status)
		}
		return nil
	}
	postgres := p("postgres", sql, "error delay drop duplicate truncate reset")
	postgres.Check = func(r *protocols.Reply) error {
		if r.Code == "" && r.Message == "disk full" {
			r.Code = "53100"
		}
		return nil
	}
	return []*protocols.Protocol{
		p("http", map[string]protocols.Field{"method": op, "path": key, "headers": {Of: "header:"}}, all),
		grpc, postgres, p("mysql", sql, "error delay drop reset"), p("redis", kv, all), kafka,
		p("dns", map[string]protocols.Field{"name": key, "type": op}, all), p("tcp", nil, "delay drop truncate reset response"),
	}
}

func testSteps() map[string][]runtime.Method {
	str := func(name string, required bool) runtime.Param {
		return runtime.Param{Name: name, Kind: runtime.String, Required: required}
	}
	var http []runtime.Method
	for _, m := range []string{"get", "post", "put", "delete"} {
		http = append(http, runtime.Method{Name: m, Params: []runtime.Param{
			str("path", true), {Name: "body", Kind: runtime.Any}, {Name: "headers", Kind: runtime.Dict},
			{Name: "timeout", Kind: runtime.Duration, Default: 10 * time.Second},
		}})
	}
	return map[string][]runtime.Method{
		"http":     http,
		"postgres": {{Name: "query", Params: []runtime.Param{str("sql", true), {Name: "args", Kind: runtime.List}}}},
		"dns":      {{Name: "query", Params: []runtime.Param{str("name", true), str("type", false)}}},
		"redis":    {{Name: "get", Params: []runtime.Param{str("key", true)}}},
		"grpc":     {{Name: "call", Params: []runtime.Param{str("method", true), {Name: "body", Kind: runtime.Dict}}}},
	}
}

func testOptions() Options {
	return Options{Protocols: testProtocols(), Steps: testSteps(), Project: testProject, CheckSyscall: func(name string) error {
		known := []string{"write", "read", "open", "fsync", "connect", "sendto"}
		for _, k := range known {
			if k == name {
				return nil
			}
		}
		return fmt.Errorf("there is no system call `%s`%s", name, suggest(name, known))
	}}
}

// chdir puts the test into a folder with these files.
func chdir(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// loadText loads a spec that must be fine.
func loadText(t *testing.T, src string) *runtime.Spec {
	t.Helper()
	chdir(t, map[string]string{"faultbox.star": src})
	s, err := Load(context.Background(), "faultbox.star", testOptions())
	if err != nil {
		t.Fatalf("load:\n%s", err)
	}
	return s
}

func findTest(t *testing.T, s *runtime.Spec, name string) *runtime.Test {
	t.Helper()
	var names []string
	for _, x := range s.Tests {
		if x.Name == name {
			return x
		}
		names = append(names, x.Name)
	}
	t.Fatalf("no test %q among %q", name, names)
	return nil
}
