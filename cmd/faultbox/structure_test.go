package main_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "faultbox"

	maxFile     = 400 // lines
	maxFunction = 80  // lines, braces included

	// Tests may be half as long again: their tables are data.
	maxTestFile     = maxFile + maxFile/2
	maxTestFunction = maxFunction + maxFunction/2
)

// importRule says what a package may import besides the standard library. The
// first rule whose packages match is the one that counts.
type importRule struct {
	packages string   // path.Match pattern, below the module
	may      []string // packages of ours exactly, modules of others by prefix; "*": anything
	mayNot   []string // packages of the standard library, by prefix
	testOnly bool     // may be imported by tests alone
	why      string
}

// ioPackages; net/netip is not one of them: an address is a noun.
var ioPackages = []string{"net", "os", "time", "sync"}

var importRules = []importRule{
	{packages: "bpf", may: []string{"github.com/cilium/ebpf"},
		why: "bpf is what runs in the kernel and its generated bindings, nothing else"},

	{packages: "protocols", mayNot: ioPackages,
		why: "protocol code does no I/O and reads no clock, so that a text file can test it"},
	{packages: "protocols/all", may: []string{"protocols", "protocols/*"}, mayNot: ioPackages,
		why: "all is the list: it knows every protocol and nothing else"},
	{packages: "protocols/protocoltest", may: []string{"protocols"}, testOnly: true,
		why: "the harness reads script files, which only tests do"},
	{packages: "protocols/dns", may: []string{"protocols", "golang.org/x/net/dns/dnsmessage"}, mayNot: ioPackages,
		why: "a protocol may use one library of message schemas; DNS's is dnsmessage"},
	{packages: "protocols/udp", may: []string{"protocols", "protocols/dns"}, mayNot: ioPackages,
		why: "datagrams of any protocol include those of DNS"},
	{packages: "protocols/grpc", may: []string{"protocols", "protocols/http2", "google.golang.org/protobuf"}, mayNot: ioPackages,
		why: "gRPC is HTTP/2 with a meaning, the one protocol that stands on another"},
	{packages: "protocols/http2", may: []string{"protocols", "golang.org/x/net/http2/hpack"}, mayNot: ioPackages,
		why: "a protocol may use one library of message schemas; header compression is HTTP/2's"},
	{packages: "protocols/kafka", may: []string{"protocols", "github.com/twmb/franz-go/pkg/kmsg", "github.com/klauspost/compress", "github.com/pierrec/lz4/v4"}, mayNot: ioPackages,
		why: "a protocol may use one library of message schemas; Kafka's messages are generated, its batches are compressed"},
	{packages: "protocols/mongodb", may: []string{"protocols", "go.mongodb.org/mongo-driver/v2/bson", "go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore", "github.com/klauspost/compress"}, mayNot: ioPackages,
		why: "a protocol may use one library of message schemas; MongoDB's is BSON, its messages are compressed"},
	{packages: "protocols/mysql", may: []string{"protocols", "protocols/sqltext", "github.com/klauspost/compress"}, mayNot: ioPackages,
		why: "protocols don't know each other; SQL ones share how a statement is normalised, MySQL's packets are compressed"},
	{packages: "protocols/*", may: []string{"protocols", "protocols/sqltext"}, mayNot: ioPackages,
		why: "protocols don't know each other; SQL ones share how a statement is normalised"},

	{packages: "intercept", may: []string{"protocols"},
		why: "deciding is pure: it needs to know what an exchange is, not how it is carried"},
	{packages: "intercept/redirect", may: []string{"intercept", "intercept/proxy", "protocols", "bpf", "github.com/cilium/ebpf", "golang.org/x/sys", "golang.org/x/net"},
		why: "redirect leads connections to the proxy: the one place where siblings meet (x/net: ICMP messages)"},
	{packages: "intercept/drivers", may: []string{"*"}, testOnly: true,
		why: "drivers puts real servers and clients together, for tests only"},
	{packages: "intercept/bench", may: []string{"*"}, testOnly: true,
		why: "bench measures the whole, for tests only"},
	{packages: "intercept/syscalls/gen",
		why: "a generator of tables is no part of the program"},
	{packages: "intercept/*", may: []string{"intercept", "protocols", "bpf", "github.com/cilium/ebpf", "golang.org/x/sys"},
		why: "ways to intercept don't know each other, and know nothing of runs and specs"},

	{packages: "runtime", may: []string{"intercept", "protocols"},
		why: "the runner knows interfaces only; what implements them is put together in cmd"},
	{packages: "runtime/spec", may: []string{"runtime", "intercept", "protocols", "go.starlark.net", "go.yaml.in/yaml", "golang.org/x/sys"},
		why: "spec is the only package that knows the language of specs (x/sys: the names of calls and errors)"},
	{packages: "runtime/host", may: []string{"golang.org/x/sys", "software.sslmate.com/src/go-pkcs12"},
		why: "host is what worlds and drivers do to this machine's cgroups and namespaces alike; it knows neither"},
	{packages: "runtime/world", may: []string{"runtime", "runtime/host", "intercept", "protocols", "github.com/vishvananda", "golang.org/x/sys"},
		why: "world is the only package that makes networks and cgroups"},
	{packages: "runtime/network", may: []string{"runtime", "intercept", "protocols", "bpf", "github.com/cilium/ebpf", "golang.org/x/sys"},
		why: "network is the only package that drops packets"},
	{packages: "runtime/process", may: []string{"runtime", "runtime/host", "intercept", "protocols", "golang.org/x/sys"},
		why: "a driver starts one kind of service and knows no other"},
	{packages: "runtime/docker", may: []string{"runtime", "runtime/host", "runtime/docker/shim", "intercept", "protocols", "github.com/docker", "github.com/containerd/errdefs", "golang.org/x/sys"},
		why: "a driver starts one kind of service and knows no other (errdefs: the kinds of the engine's errors)"},
	{packages: "runtime/compose", may: []string{"runtime", "github.com/compose-spec/compose-go/v2", "github.com/sirupsen/logrus", "go.yaml.in/yaml/v3", "github.com/docker/docker/api/types", "github.com/docker/go-connections/nat"},
		why: "compose is the only package that reads compose files (logrus: where compose-go warns; api/types: the form of what it hands to the engine)"},
	{packages: "runtime/docker/shim",
		why: "the shim is to be initialised before every other package: it can wait for none"},
	{packages: "runtime/docker/dockertest/probe", testOnly: true,
		why: "the probe is a service of tests that runs in any image"},
	{packages: "runtime/docker/dockertest", may: []string{"golang.org/x/sys", "golang.org/x/net/dns/dnsmessage"}, testOnly: true,
		why: "dockertest runs engines for tests alone"},
	{packages: "runtime/steps", may: append([]string{"runtime", "intercept", "protocols"}, clientLibraries...),
		why: "steps is the only package that needs client libraries"},
	{packages: "runtime/report", may: []string{"runtime", "intercept", "protocols", "github.com/google/gopacket"},
		why: "reports are made of records and nothing else"},

	{packages: "lima", why: "lima holds files for a virtual machine and hands them out"},
	{packages: "cmd/*", may: []string{"*"}, why: "commands put the trees together"},
	{packages: "cmd/*/*", may: []string{"*"}, why: "commands put the trees together"},
	{packages: "cmd/*/*/*", may: []string{"*"}, why: "commands put the trees together"},
}

// clientLibraries are the drivers that steps speak each protocol with.
var clientLibraries = []string{
	"github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9", "github.com/go-sql-driver/mysql",
	"github.com/twmb/franz-go", "go.mongodb.org/mongo-driver/v2", "github.com/rabbitmq/amqp091-go",
	"github.com/nats-io/nats.go", "github.com/bradfitz/gomemcache", "google.golang.org/grpc",
	"google.golang.org/protobuf", "github.com/jhump/protoreflect", "golang.org/x/net",
}

func TestStructureImports(t *testing.T) {
	for _, f := range goFiles(t) {
		rule, ok := ruleOf(f.pkg)
		if !ok {
			t.Errorf("%s: no rule says what package %s may import; add one to importRules, with its reason", f.path, f.pkg)
			continue
		}
		if f.test || rule.testOnly {
			continue
		}
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !rule.allows(imported) {
				t.Errorf("%s imports %q, which %s must not: %s", f.path, imported, f.pkg, rule.why)
			}
			if other, _ := ruleOf(strings.TrimPrefix(imported, module+"/")); other.testOnly {
				t.Errorf("%s imports %q, which only tests may: %s", f.path, imported, other.why)
			}
		}
	}
}

func ruleOf(pkg string) (importRule, bool) {
	for _, r := range importRules {
		if ok, _ := path.Match(r.packages, pkg); ok {
			return r, true
		}
	}
	return importRule{}, false
}

func (r importRule) allows(imported string) bool {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	first, _, _ := strings.Cut(imported, "/")
	if !isOurs && !strings.Contains(first, ".") { // the standard library
		return imported == "net/netip" || !slices.ContainsFunc(r.mayNot, func(p string) bool { return within(imported, p) })
	}
	return slices.ContainsFunc(r.may, func(p string) bool {
		if isOurs {
			ok, _ := path.Match(p, ours)
			return ok || p == "*"
		}
		return within(imported, p) || p == "*"
	})
}

func within(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// The rules themselves can be wrong in a way that lets everything pass.
func TestStructureRulesBite(t *testing.T) {
	for _, c := range []struct{ pkg, imported string }{
		{"protocols", "time"},
		{"protocols", "sync/atomic"},
		{"protocols", "faultbox/intercept"},
		{"protocols/redis", "os"},
		{"protocols/redis", "faultbox/protocols/postgres"},
		{"protocols/mysql", "github.com/go-sql-driver/mysql"},
		{"intercept", "faultbox/intercept/proxy"},
		{"intercept", "faultbox/runtime"},
		{"intercept/proxy", "faultbox/intercept/redirect"},
		{"runtime", "faultbox/runtime/world"},
		{"runtime", "go.starlark.net/starlark"},
		{"runtime/process", "faultbox/runtime/world"},
		{"runtime/report", "faultbox/intercept/proxy"},
		{"bpf", "faultbox/intercept"},
	} {
		rule, ok := ruleOf(c.pkg)
		if !ok || rule.allows(c.imported) {
			t.Errorf("%s may import %s", c.pkg, c.imported)
		}
	}
}

func TestStructureLengths(t *testing.T) {
	for _, f := range goFiles(t) {
		if ast.IsGenerated(f.ast) {
			continue
		}
		maxFile, maxFunction := maxFile, maxFunction
		if strings.HasSuffix(f.path, "_test.go") {
			maxFile, maxFunction = maxTestFile, maxTestFunction
		}
		if n := f.fset.File(f.ast.FileStart).LineCount() - 1; n > maxFile {
			t.Errorf("%s has %d lines, at most %d are allowed: which of its jobs deserves a room of its own?", f.path, n, maxFile)
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := f.fset.Position(fn.Pos()), f.fset.Position(fn.End())
			if n := to.Line - from.Line + 1; n > maxFunction {
				t.Errorf("%s:%d: %s has %d lines, at most %d are allowed", f.path, from.Line, fn.Name.Name, n, maxFunction)
			}
		}
	}
	for _, name := range filesUnder(t, ".c", ".h", ".star") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines, at most %d are allowed", name, n, maxFile)
		}
	}
}

// A package says what it is in doc.go, or in its only file.
func TestStructureDocs(t *testing.T) {
	files, documented := map[string]int{}, map[string]bool{}
	var comments []goFile
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		files[f.pkg]++
		if f.ast.Doc != nil {
			comments = append(comments, f)
		}
	}
	for _, f := range comments {
		if path.Base(f.path) == "doc.go" || files[f.pkg] == 1 {
			documented[f.pkg] = true
		}
	}
	for pkg := range files {
		if !documented[pkg] {
			t.Errorf("%s has no doc.go with a package comment", pkg)
		}
	}
}

func TestStructureTopLevel(t *testing.T) {
	allowed := []string{
		"bpf", "protocols", "intercept", "runtime", "cmd", "lima", ".ci", "Makefile", "README.md", "go.mod", "go.sum", "LICENSE",
		".git", ".gitignore", ".build", "faultbox", // the last two are built
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s lies at the top level, where only these belong: %s", e.Name(), strings.Join(allowed, " "))
		}
	}
}

// goFile is a Go file of this project, whatever system it is for.
type goFile struct {
	path, pkg string // below the module
	test      bool
	ast       *ast.File
	fset      *token.FileSet
}

func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	for _, name := range filesUnder(t, ".go") {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), parsed, fset})
	}
	if len(files) == 0 {
		t.Fatal("found no Go file: the test looks in the wrong place")
	}
	return files
}

// filesUnder returns the files with these endings, slash-separated, below the
// module, leaving out hidden folders, test data and what is built.
func filesUnder(t *testing.T, endings ...string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		hidden := below != "." && strings.HasPrefix(d.Name(), ".")
		if d.IsDir() && (hidden || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !d.IsDir() && slices.Contains(endings, filepath.Ext(name)) {
			names = append(names, filepath.ToSlash(below))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
