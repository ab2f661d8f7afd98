package starter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"faultbox/runtime"
)

// Survey is what is known of a compose project.
type Survey struct {
	Files    []string // as the spec is to name them
	Profiles []string
	Ignore   []string // attributes of the files to go on without
	Project  *runtime.Project
}

// Outcome is how a test of the spec ended when it was tried.
type Outcome struct {
	Passed bool
	Seen   string // why it did not pass
}

// Everything keeps all tests, to try them.
var Everything = map[string]Outcome{"*": {Passed: true}}

// part is a test of the spec with what belongs to it.
type part struct {
	test  string
	text  string
	fault bool
}

// Write writes the spec. seen says how its tests ended, by name: those that did
// not pass are commented out. nil: they were not tried, and faults are commented
// out.
func (s *Survey) Write(seen map[string]Outcome) string {
	var b strings.Builder
	s.writeHead(&b)
	probes, faults := s.probes(), s.faults()
	b.WriteString("\n# What clients do. Each is a test by itself, and is done again below while something is broken.\n")
	writeParts(&b, probes, seen)
	if len(faults) > 0 {
		b.WriteString("\n# What breaks, and what must hold then. These are examples: say here what your system should do.\n")
		writeParts(&b, faults, seen)
	}
	return b.String()
}

func writeParts(b *strings.Builder, parts []part, seen map[string]Outcome) {
	for _, p := range parts {
		o, tried := seen[p.test]
		all := seen["*"].Passed
		b.WriteString("\n")
		switch {
		case all, tried && o.Passed, seen == nil && !p.fault:
			b.WriteString(p.text)
			continue
		case tried:
			fmt.Fprintf(b, "# This did not hold when it was tried: %s\n", o.Seen)
		default:
			b.WriteString("# This was not tried.\n")
		}
		for line := range strings.Lines(p.text) {
			b.WriteString("# " + line)
		}
	}
}

// writeHead writes the topology.
func (s *Survey) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, "# A first spec for %s, written by faultbox init. It is yours: change it.\n", strings.Join(s.Files, ", "))
	b.WriteString("#\n#   faultbox check FILE        is it right?\n#   sudo faultbox test FILE    does it hold?\n\n")
	file := strconv.Quote(s.Files[0])
	if len(s.Files) > 1 {
		file = list(s.Files)
	}
	fmt.Fprintf(b, "services = compose(%s,\n", file)
	if len(s.Profiles) > 0 {
		fmt.Fprintf(b, "    profiles = %s,\n", list(s.Profiles))
	}
	if len(s.Ignore) > 0 {
		fmt.Fprintf(b, "    ignore = %s,\n", list(s.Ignore))
	}
	b.WriteString("    # What each service speaks is guessed; correct what is wrong.\n    interfaces = {\n")
	for _, svc := range s.Project.Services {
		guesses := s.Project.Guesses[svc.Name]
		var all, why []string
		for _, g := range guesses {
			all = append(all, fmt.Sprintf("interface(%q, %q, %d)", g.Name, g.Protocol, g.Port))
			why = append(why, g.Why)
		}
		switch len(all) {
		case 0:
			fmt.Fprintf(b, "        # %q: interface(\"main\", PROTOCOL, PORT),\n", svc.Name)
		case 1:
			fmt.Fprintf(b, "        %q: %s,  # %s\n", svc.Name, all[0], why[0])
		default:
			fmt.Fprintf(b, "        %q: [%s],  # %s\n", svc.Name, strings.Join(all, ", "), strings.Join(why, ", "))
		}
	}
	b.WriteString("    },\n)\n")
}

func list(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// questions are what a server of a protocol can be asked, as methods of its interface.
var questions = map[string]string{
	"postgres":  `query(sql = "SELECT 1")`,
	"mysql":     `query(sql = "SELECT 1")`,
	"redis":     `ping()`,
	"kafka":     `publish(topic = "faultbox-init", data = "hello")`,
	"mongodb":   `count(collection = "faultbox_init")`,
	"amqp":      `declare(queue = "faultbox-init")`,
	"nats":      `publish(subject = "faultbox.init", data = "hello")`,
	"memcached": `set(key = "faultbox-init", value = "hello")`,
}

// probe is how the spec talks to a service.
type probe struct {
	service, function string
	guess             runtime.Guess
}

// probed are the services that can be talked to.
func (s *Survey) probed() (all []probe) {
	for _, svc := range s.Project.Services {
		for _, g := range s.Project.Guesses[svc.Name] {
			what := "_answers"
			if g.Protocol == "http" {
				what = "_get"
			} else if questions[g.Protocol] == "" {
				continue
			}
			all = append(all, probe{svc.Name, identifier(svc.Name) + what, g})
			break
		}
	}
	return all
}

func (s *Survey) probes() (parts []part) {
	for _, p := range s.probed() {
		on := fmt.Sprintf("services[%q].%s", p.service, p.guess.Name)
		text := fmt.Sprintf("def %s():\n    r = %s.%s\n    assert_true(r.ok, r.error)\n    return r\nscenario(%s)\n", p.function, on, questions[p.guess.Protocol], p.function)
		if p.guess.Protocol == "http" {
			path := p.guess.Path
			if path == "" {
				path = "/"
			}
			text = fmt.Sprintf("def %s():\n    return %s.get(path = %q)\nscenario(%s)\n", p.function, on, path, p.function)
		}
		parts = append(parts, part{test: p.function, text: text})
	}
	return parts
}

// faults are one for each edge from a service that answers HTTP; what nobody
// is known to use is slow for the test's own steps.
func (s *Survey) faults() (parts []part) {
	var used []string
	add := func(from, to probe, source string) {
		name := identifier(to.service) + "_is_slow_for_" + identifier(source)
		test := from.function + "_while_" + identifier(to.service) + "_is_slow"
		text := fmt.Sprintf(`%s = fault_assumption(%q,
    target = services[%q].%s,
    delay(delay = "500ms", source = %q),
)
fault_scenario(%q, scenario = %s, faults = %s,
    expect = expect_success(),
)
`, name, to.service+" is slow for "+source, to.service, to.guess.Name, source, test, from.function, name)
		parts = append(parts, part{test: test, text: text, fault: true})
		used = append(used, to.service)
	}
	probes := s.probed()
	for _, from := range probes {
		svc := s.service(from.service)
		for _, to := range probes {
			if from.guess.Protocol == "http" && from.service != to.service && uses(svc, to) {
				add(from, to, from.service)
			}
		}
	}
	for _, p := range probes {
		if p.guess.Protocol != "http" && !slices.Contains(used, p.service) {
			add(p, p, "test")
		}
	}
	return parts
}

func (s *Survey) service(name string) *runtime.Service {
	i := slices.IndexFunc(s.Project.Services, func(svc *runtime.Service) bool { return svc.Name == name })
	return s.Project.Services[i]
}

// uses reports whether a service depends on another, or has its name in a
// variable as a host.
func uses(svc *runtime.Service, to probe) bool {
	if slices.Contains(svc.DependsOn, to.service) {
		return true
	}
	host := regexp.MustCompile(`(^|[/@,=\s])` + regexp.QuoteMeta(to.service) + `(:\d+|[/,\s]|$)`)
	for _, kv := range svc.Env {
		_, value, _ := strings.Cut(kv, "=")
		if host.MatchString(value) {
			return true
		}
	}
	return false
}

// identifier makes a name that Starlark takes.
func identifier(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
	if name[0] >= '0' && name[0] <= '9' {
		return "s" + name
	}
	return name
}
