// Package process is the driver for services that are programs on this machine.
//
// A service is started straight into its cgroup and into its world's network
// namespace, in a session of its own and without a terminal. Its environment
// is PATH, HOME, USER, LOGNAME, LANG, LC_ALL, LC_CTYPE and TZ of faultbox, a
// TMPDIR that is the world's folder, and what the spec gives. Its input is
// empty; its output goes to files in the world's folder, not to pipes: a
// service never waits for faultbox to read, and when faultbox is killed it
// goes on as if nothing had happened. The next start of faultbox sweeps it
// (see package world).
//
// In a world without cgroups, as there is none without root, a service is started
// below a reaper: a small process that adopts whatever of the service loses its
// parent, buries it, and stops or kills all of it when told to.
//
// A service ends when its first process does. If that exits with 0 and leaves
// others behind (a daemon), it ends with the last of them.
package process
