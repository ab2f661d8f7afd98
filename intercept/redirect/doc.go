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
// # Datagrams
//
// Each destination of datagrams has a port of ours on loopback, the inlet, that
// stands for it. A UDP socket that connects is led there as above; of one that
// does not, every datagram is (sendmsg4, sendmsg6), and what comes back is shown
// as coming from the destination (recvmsg4, recvmsg6). An inlet for "loopback"
// takes all of 127.0.0.0/8, on lo alone, and learns from IP_PKTINFO which
// address was meant. The datagrams of a client port are a flow, with a socket of
// its own to the server. A "port unreachable" that this socket hears is written
// anew for the client, so that a connected one reads ECONNREFUSED.
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
//   - Datagrams of 0 to 65507 bytes, their order, and which of several
//     servers one came from.
//
// The source port that the server sees is the proxy's. What a server sends from
// another port than it was asked at (TFTP) does not come through. A client that
// asks for more than addresses can tell: IP_PKTINFO and the error queue of a
// connected socket (IP_RECVERR) show loopback, and a UDP socket that was
// connected to a redirected destination and connects elsewhere, without having
// been disconnected, keeps loopback as its source. UDP sockets that connected
// before stay direct; those that are connected when faultbox goes hear
// ECONNREFUSED until they connect again.
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
// # Without root
//
// ByCall needs no program in the kernel. Whoever watches the system calls of the
// service (package syscalls) stops its connect(2) and lends ByCall the socket, a
// copy made by pidfd_getfd(2); ByCall connects it to the listener, as the
// service's own call would have: blocking or not, from the source that the kernel
// would have chosen, and only if somebody listens at the meant address
// (sock_diag(7)). The source says at accept where the connection means to go.
// getpeername(2) is answered in the kernel's place. What is connected costs
// nothing more; a connect or getpeername of a service with an armed edge costs
// the way to faultbox and back, whoever it is for.
//
// It leads TCP within the target's own network namespace. Left alone, and so
// out of reach of faults, are Fast Open, datagrams, sockets bound to a device
// and programs that the kernel does not let us look into, of which a note tells.
// io_uring does not exist for the service.
//
// # Needs
//
// Linux 5.15, cgroup2 mounted anywhere, root. Interceptor.Supported names what
// is missing. ByCall: Linux 5.15, and no ptrace_scope above 1 (Yama).
package redirect
