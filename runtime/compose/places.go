package compose

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// places says where in the files something stands.
type places struct {
	dir   string
	files []placed
}

// placed is a file with its content, as far as it could be read.
type placed struct {
	name string
	text string
	root *yaml.Node // nil: not YAML
}

func findPlaces(dir string, files []string) places {
	p := places{dir: dir}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		f := placed{name: shown(dir, file), text: string(text)}
		var doc yaml.Node
		if yaml.Unmarshal(text, &doc) == nil && len(doc.Content) == 1 {
			f.root = doc.Content[0]
		}
		p.files = append(p.files, f)
	}
	return p
}

// of returns where an attribute such as services.web.ports stands, or its
// nearest ancestor. Of several files the last one that has it counts.
func (p places) of(path ...string) string {
	best, depth := "", -1
	for _, f := range p.files {
		line, n := f.find(path)
		if n >= depth {
			best, depth = fmt.Sprintf("%s:%d", f.name, line), n
		}
	}
	return best
}

// find returns the line of the deepest part of a path that the file has.
func (f placed) find(path []string) (line, depth int) {
	line = 1
	node := f.root
	for i, name := range path {
		key, value := child(node, name)
		if key == nil {
			return line, i
		}
		line, node = key.Line, value
	}
	return line, len(path)
}

// child returns an entry of a map, or of a list of KEY=value.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node == nil:
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			if item.Value == name || strings.HasPrefix(item.Value, name+"=") {
				return item, item
			}
		}
	}
	return nil, nil
}

// text returns where a text stands first, "" if nowhere.
func (p places) text(parts ...string) string {
	for _, f := range p.files {
		n := 0
		for line := range strings.Lines(f.text) {
			n++
			for _, part := range parts {
				if strings.Contains(line, part) {
					return fmt.Sprintf("%s:%d", f.name, n)
				}
			}
		}
	}
	return ""
}

// first is the file that stands for the project.
func (p places) first() string {
	if len(p.files) == 0 {
		return "compose file"
	}
	return p.files[0].name
}

// at puts a place in front of what is wrong.
func at(place string, format string, args ...any) error {
	return fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...))
}

var (
	quotedService = regexp.MustCompile(`service "([^"]+)"`)
	attributePath = regexp.MustCompile(`^((?:services|networks|volumes|configs|secrets)(?:\.[^\s.:]+)+)`)
	lineOfYAML    = regexp.MustCompile(`line (\d+)`)
)

// explain gives what compose-go says a place, and an advice where there is one.
func (r *reader) explain(err error) error {
	var unset unsetError
	if errors.As(err, &unset) {
		return r.explainUnset(unset)
	}
	msg := strings.ReplaceAll(err.Error(), r.q.Dir+"/", "")
	for _, f := range r.places.files {
		msg = strings.TrimPrefix(msg, "validating "+f.name+": ")
	}
	msg = strings.Replace(msg, " false schema", " is no attribute that compose files have", 1)
	place := r.places.first()
	switch m := quotedService.FindStringSubmatch(msg); {
	case strings.Contains(msg, "yaml:") && lineOfYAML.MatchString(msg):
		return r.explainYAML(err)
	case strings.Contains(msg, "env file"):
		if i := strings.Index(msg, "env file "); i >= 0 {
			name, _, _ := strings.Cut(msg[i+len("env file "):], " not found")
			base := name[strings.LastIndex(name, "/")+1:]
			if p := r.places.text(base); p != "" {
				place = p
			}
			return at(place, "read env file %s: there is no such file: make it, or write `required: false` below its path", shown(r.places.dir, name))
		}
	case strings.Contains(msg, "dependency cycle"):
		return at(r.places.of("services"), "%s", msg)
	case m != nil:
		place = r.places.of("services", m[1])
	case attributePath.MatchString(msg):
		place = r.places.of(strings.Split(attributePath.FindStringSubmatch(msg)[1], ".")...)
	}
	return at(place, "%s", msg)
}

// explainYAML names the file: compose-go does so only for some.
func (r *reader) explainYAML(err error) error {
	for _, f := range r.places.files {
		var any any
		if bad := yaml.Unmarshal([]byte(f.text), &any); bad != nil {
			line := "1"
			if m := lineOfYAML.FindStringSubmatch(bad.Error()); m != nil {
				line = m[1]
			}
			return at(f.name+":"+line, "not YAML: %s", strings.TrimPrefix(bad.Error(), "yaml: "))
		}
	}
	return at(r.places.first(), "%w", err)
}

// explainUnset says which variables have no value.
func (r *reader) explainUnset(names []string) error {
	place := r.places.text("${"+names[0]+"}", "$"+names[0])
	if place == "" {
		place = r.places.first()
	}
	what := "variable " + names[0] + " has"
	if len(names) > 1 {
		what = "variables " + strings.Join(names, ", ") + " have"
	}
	return at(place, `%s no value: set it in the environment, in .env, or with env = {%q: …}; to go on with nothing, write ${%s:-}`, what, names[0], names[0])
}
