// Package redirect puts the proxy in a service's way without touching an
// address: the service asks for the address it always asked for, and is told
// that it got it.
//
// # How
//
// The programs of package bpf are attached to the service's cgroup2 directory.
// When a socket that was created there connects, they look up {network
// namespace cookie, cgroup, destination, port, protocol}. Without a rule the
// connection goes direct, at the price of one failed lookup. With one, it goes
// to a listener of ours on loopback in the service's own network namespace,
// and {source} → meant destination is filed before the SYN leaves. The listener
// finds it at accept, dials the meant destination from the same namespace, and
// gives both ends to package proxy. getpeername shows what the client asked for.
//
// # What a client cannot tell apart
//
//   - A port that nobody listens on is refused by the kernel itself: for a
//     destination in the client's own namespace, or in one that the peer names,
//     the program asks the kernel's socket table (bpf_skc_lookup_tcp), address
//     and all, before it redirects.
//   - IPv4, IPv6 and v4-mapped destinations, non-blocking connects, TCP Fast
//     Open, multipath TCP, a socket that connects again, 0.0.0.0 and :: as
//     names of loopback.
//   - A source address that the client chose is the one that the server sees;
//     one left open is, to server and getsockname alike, what it would have
//     been.
//
// The source port that the server sees is the proxy's.
//
// Left alone are sockets bound to a device, link-local IPv6 destinations, and
// our own sockets, which carry a mark in their socket storage.
//
// # When faultbox dies or hangs
//
// Links are not pinned: killed, the programs go and new connections are direct.
// Stopped, its heartbeat (a variable shared with the programs) grows stale in
// 500 ms and new connections are direct too. If that befalls a faultbox that
// lives on, the connections that bypassed it are counted, and each handler of
// that cgroup gets a note: a fault that may have struck nothing must not pass.
//
// # Needs
//
// Linux 5.15, cgroup2 mounted anywhere, root. Interceptor.Supported names what
// is missing.
package redirect
