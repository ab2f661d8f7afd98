package world

// Options says how a run's worlds are made.
type Options struct {
	// RunID tells this run from others on the machine. "": one is made up.
	RunID string
	// Root is the folder that temporary folders go into. "": "faultbox" in the
	// system's temporary folder.
	Root string
	// HostNetwork gives worlds the machine's own network namespace. Then there
	// is one world at a time: New waits for the one before to be closed.
	HostNetwork bool
	// NoCgroups goes without cgroups, which need root: Cgroup returns "", and
	// drivers name what is to be ended with the world (Adopt).
	NoCgroups bool
}
