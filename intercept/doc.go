// Package intercept holds the nouns of getting in the way, and decides.
//
// A request on the wire and a system call are the same Event: who, whom,
// protocol, op, key, text. So there is one matcher, one rule, one fault type
// and one set of counters; a system call is just protocol "syscall".
//
// Everything here is pure: Rules is a function of its seed and of the order of
// events. Only two packages act on what it decides: proxy on the wire and
// syscalls on calls. redirect puts the proxy in a service's way.
package intercept
