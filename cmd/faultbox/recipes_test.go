package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/cmd/faultbox/recipes"
	"faultbox/protocols/all"
)

// Every recipe that is listed loads, and becomes rules of an interface of its
// protocol; every recipe that a file defines is listed.
func TestRecipes(t *testing.T) {
	for _, name := range recipeNames() {
		t.Run(name, func(t *testing.T) {
			text, err := recipes.FS.ReadFile(name + ".star")
			if err != nil {
				t.Fatal(err)
			}
			port, known := 0, false
			for _, p := range all.Protocols() {
				if p.Name == name {
					port, known = max(p.Port, 1), true
				}
			}
			if !known {
				t.Fatalf("there is no protocol %q", name)
			}
			spec := fmt.Sprintf("load(\"@faultbox/recipes/%[1]s.star\", \"%[1]s\")\nsvc = service(\"svc\", \"/bin/true\", interface(\"main\", %[1]q, %d))\ndef f(): pass\n", name, port)
			listed := recipeLine.FindAllSubmatch(text, -1)
			for _, m := range listed {
				spec += fmt.Sprintf("fault_scenario(%[1]q, scenario = f, faults = fault_assumption(%[1]q, target = svc.main, %[2]s.%[1]s()))\n", m[1], name)
			}
			if defined := strings.Count(string(text), "\ndef _"); defined != len(listed) {
				t.Errorf("%d recipes are defined and %d described", defined, len(listed))
			}
			file := filepath.Join(t.TempDir(), "x.star")
			if err := os.WriteFile(file, []byte(spec), 0o666); err != nil {
				t.Fatal(err)
			}
			s, err := load(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Tests) != len(listed) {
				t.Errorf("%d tests of %d recipes", len(s.Tests), len(listed))
			}
			for _, test := range s.Tests {
				if len(test.Rules) == 0 {
					t.Errorf("%s made no rule", test.Name)
				}
			}
		})
	}
}
