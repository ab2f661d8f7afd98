// Package world makes the places in which tests happen.
//
// A world is a network namespace, a cgroup2 subtree and a temporary folder:
//
//	<cgroup2>/faultbox-<run>/<world>/<service>    what its processes are in
//	<root>/run-<run>/<world>                      its folder
//
// The namespace has no name: it is held by a file descriptor and by the
// processes in it, so it ends with them. Local services of a world share its
// loopback, which is why worlds that use the same ports run side by side, and
// why nothing outside answers there: a service that needs the outside network
// is run with --network host.
//
// Without root there are no cgroups (Options.NoCgroups): the folder then lists the
// processes that are to be ended with the world.
//
// A run holds a lock (flock) on its cgroup and on its folder for as long as it
// lives. Sweep removes those whose lock is free: their run was killed. That
// holds across PID and mount namespaces, and for a process id that was reused.
package world
