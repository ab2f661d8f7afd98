package compose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// places says where in the files something stands.
type places struct {
	dir   string
	files []placed
	more  []placed // files that those include or extend
}

// placed is a file with its content, as far as it could be read.
type placed struct {
	name string
	text string
	root *yaml.Node // nil: not YAML
}

func findPlaces(dir string, files []string) places {
	p := places{dir: dir}
	seen := map[string]bool{}
	for _, file := range files {
		if f, ok := p.read(file, seen); ok {
			p.files = append(p.files, f)
		}
	}
	return p
}

// read reads a file, and notes those that it names.
func (p *places) read(file string, seen map[string]bool) (placed, bool) {
	text, err := os.ReadFile(file)
	if err != nil || seen[file] {
		return placed{}, false
	}
	seen[file] = true
	f := placed{name: shown(p.dir, file), text: string(text)}
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) == nil && len(doc.Content) == 1 {
		f.root = doc.Content[0]
	}
	for _, name := range f.named() {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		if other, ok := p.read(name, seen); ok {
			p.more = append(p.more, other)
		}
	}
	return f, true
}

// named are the files that a file includes, or that its services extend.
func (f placed) named() (files []string) {
	add := func(n *yaml.Node) {
		switch {
		case n == nil:
		case n.Kind == yaml.ScalarNode:
			files = append(files, n.Value)
		default:
			for _, item := range n.Content {
				files = append(files, item.Value)
			}
		}
	}
	if _, list := child(f.root, "include"); list != nil {
		for _, item := range list.Content {
			if item.Kind == yaml.MappingNode {
				_, item = child(item, "path")
			}
			add(item)
		}
	}
	if _, services := child(f.root, "services"); services != nil && services.Kind == yaml.MappingNode {
		for i := 1; i < len(services.Content); i += 2 {
			if _, extends := child(services.Content[i], "extends"); extends != nil {
				_, file := child(extends, "file")
				add(file)
			}
		}
	}
	return files
}

// of returns where an attribute such as services.web.ports stands, or its
// nearest ancestor. Of several files the last one that has it counts.
func (p places) of(path ...string) string {
	best, _ := p.deepest(path, 0)
	return best
}

func (p places) deepest(path []string, extended int) (best string, depth int) {
	depth = -1
	for _, f := range p.files {
		line, n := f.find(path)
		if n >= depth {
			best, depth = fmt.Sprintf("%s:%d", f.name, line), n
		}
	}
	for _, f := range p.more {
		if line, n := f.find(path); n > depth {
			best, depth = fmt.Sprintf("%s:%d", f.name, line), n
		}
	}
	if depth == 2 && len(path) > 2 && path[0] == "services" && extended < 10 { // it may be of what the service extends
		if service := p.extends(path[1]); service != "" && service != path[1] {
			other := append([]string{"services", service}, path[2:]...)
			if place, n := p.deepest(other, extended+1); n > depth {
				return place, n
			}
		}
	}
	return best, depth
}

// extends is the service that a service extends.
func (p places) extends(service string) string {
	extends := p.node("services", service, "extends")
	if extends == nil || extends.Kind == yaml.ScalarNode {
		return scalar(extends)
	}
	_, name := child(extends, "service")
	return scalar(name)
}

func scalar(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}

// node is what stands at a path, nil if nothing does.
func (p places) node(path ...string) *yaml.Node {
	for _, f := range slices.Concat(p.files, p.more) {
		node := f.root
		for _, name := range path {
			_, node = child(node, name)
		}
		if node != nil {
			return node
		}
	}
	return nil
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
	for _, f := range slices.Concat(p.files, p.more) {
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
	undefined     = regexp.MustCompile(`undefined service "([^"]+)"`)
	unknown       = regexp.MustCompile(`^(\S*) ?additional properties '([^']+)' not allowed$`)
	interpolating = regexp.MustCompile(`^error while interpolating ([^\s:]+): `)
	noFile        = regexp.MustCompile(`^open (\S+): `)
	lineOfFile    = regexp.MustCompile(`^failed to read (\S+): line (\d+): `)
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
	const noAttribute = " is no attribute that compose files have"
	msg = strings.Replace(msg, " false schema", noAttribute, 1)
	if m := unknown.FindStringSubmatch(msg); m != nil {
		path := strings.TrimPrefix(m[1]+"."+m[2], ".")
		return at(r.places.of(strings.Split(path, ".")...), "%s%s", path, noAttribute)
	}
	place := r.places.first()
	switch m := quotedService.FindStringSubmatch(msg); {
	case lineOfFile.MatchString(msg):
		m := lineOfFile.FindStringSubmatch(msg)
		return at(m[1]+":"+m[2], "%s", strings.TrimPrefix(msg, m[0]))
	case interpolating.MatchString(msg):
		place = r.places.of(strings.Split(interpolating.FindStringSubmatch(msg)[1], ".")...)
	case noFile.MatchString(msg):
		name := noFile.FindStringSubmatch(msg)[1]
		if p := r.places.text(name, filepath.Base(name)); p != "" {
			place = p
		}
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
		if m := undefined.FindStringSubmatch(msg); m != nil {
			place, msg = r.ofProfile(place, msg, m[1])
		}
	case attributePath.MatchString(msg):
		place = r.places.of(strings.Split(attributePath.FindStringSubmatch(msg)[1], ".")...)
	}
	return at(place, "%s", msg)
}

// ofProfile says of a service that is there and not active which profiles it has.
func (r *reader) ofProfile(place, msg, service string) (string, string) {
	profiles := r.places.node("services", service, "profiles")
	if profiles == nil || len(profiles.Content) == 0 {
		return place, msg
	}
	msg = fmt.Sprintf("%s: %s is active with profile %s only: profiles = [%q]",
		strings.TrimSuffix(msg, ": invalid compose project"), service, profiles.Content[0].Value, profiles.Content[0].Value)
	return place, msg
}

// explainYAML names the file: compose-go does so only for some.
func (r *reader) explainYAML(err error) error {
	for _, f := range slices.Concat(r.places.files, r.places.more) {
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
