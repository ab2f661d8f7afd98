package main

import "strings"

// feature is something that may work in a guest or not, and how to find out: by
// the tests of a package, or by a program that exits with 0, or with 77 if the
// guest lacks what it needs and said so.
type feature struct {
	name, about string
	pkg         string   // below the module: its test program is run in a copy of its test data
	args        []string // of the test program
	data        []string // what the tests read, below the package
	program     string   // in place of pkg: below the payload, by sh
	bare        bool     // needs no program of a distribution
	narrow      bool     // needs no world, so neither cgroups nor namespaces
	usual       bool     // asks nothing special of a kernel: not tried where one is
}

// loads are tests of many connections at once: an emulated machine takes minutes
// for each, and its kernel does nothing in them that others don't do.
const loads = "Storm|UnderLoad|ParallelWorlds"

// parts are the scripts that wait for nothing that takes an emulated machine
// long, and the demo without PostgreSQL.
const parts = "interrupt|syscall_mistakes|syscall_run|tls|verdicts|small"

var features = []feature{
	{name: "command", about: "faultbox itself: a fault on the wire, one of a call, or what it says is missing", program: "guest/command.sh", bare: true, narrow: true},
	{name: "redirect", about: "connections led through the proxy", pkg: "intercept/redirect",
		args: []string{"-test.skip=" + loads}, data: []string{"testdata"}},
	{name: "syscalls", about: "faults of system calls", pkg: "intercept/syscalls", data: []string{"testdata"}, narrow: true},
	{name: "proxy", about: "the proxy", pkg: "intercept/proxy", args: []string{"-test.short"}, bare: true, narrow: true, usual: true},
	{name: "worlds", about: "a network, cgroup and folder per test", pkg: "runtime/world"},
	{name: "programs", about: "local services", pkg: "runtime/process"},
	{name: "runs", about: "whole runs: scripts of the command, and its demo", pkg: "cmd/faultbox",
		args: []string{"-test.run=^(TestScripts|TestDemo)$/^(" + parts + ")$", "-test.parallel=1"}, data: []string{"testdata", "demo"}},
	{name: "containers", about: "Docker, systemd driver, pure cgroup v2", program: "guest/containers.sh"},
	{name: "provision", about: "the script that sets the Lima VM up", program: "guest/provision.sh", usual: true},
}

// testProgram is the name of a package's test program in the payload.
func (f feature) testProgram() string { return strings.ReplaceAll(f.pkg, "/", "-") + ".test" }
