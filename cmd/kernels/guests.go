package main

// guest is a machine to test in.
type guest struct {
	name    string
	suite   string // of Debian, whose newest kernel it runs
	options string // added to the kernel's command line
	alone   bool   // has one processor, a whole one: see arguments
	bare    bool   // busybox and nothing else: no systemd, no Python, no servers
	lacks   string // what faultbox must say is missing here; "": it must run
	about   string
}

// tries reports whether a feature is tried in a guest: not without the programs
// that it needs, nor where faultbox has to say that what it needs is lacking, nor
// where nothing special about the guest matters to it.
func (g guest) tries(f feature) bool {
	return (!g.bare || f.bare) && (g.lacks == "" || f.narrow) && (g.options == "" || !f.usual)
}

// guests are the machines of make kernels, in the order of the table.
var guests = []guest{
	{name: "5.10", suite: "bullseye", lacks: "this kernel lacks cgroup.kill",
		about: "older than what faultbox needs, which is 5.15"},
	{name: "6.1", suite: "bookworm", about: "systemd, cgroup v2 alone, Docker with the systemd driver"},
	{name: "6.12", suite: "bookworm-backports", about: "systemd, cgroup v2 alone, Docker with the systemd driver"},
	{name: "sid", suite: "sid", alone: true, about: "the newest that Debian has"},
	{name: "6.12-bare", suite: "bookworm-backports", bare: true, about: "busybox alone: no systemd, no Python, no server"},
	{name: "6.1-cgroup1", suite: "bookworm", lacks: "no cgroup2 file system is mounted",
		options: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
		about:   "cgroup v1 alone"},
	{name: "6.1-hybrid", suite: "bookworm",
		options: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0",
		about:   "cgroup v1 with controllers, v2 beside it at /sys/fs/cgroup/unified"},
	{name: "6.12-lockdown", suite: "bookworm-backports", options: "lockdown=confidentiality",
		about: "the kernel locked down against root: confidentiality"},
	{name: "6.12-nobtf", suite: "bookworm-backports", options: hideBTF,
		about: "no /sys/kernel/btf, as where a kernel was built without BTF"},
}
