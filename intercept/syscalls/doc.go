// Package syscalls watches the system calls of services and does to them what
// rules decide: it is the only code that acts on calls.
//
// The engine is the kernel's seccomp user notification. A filter on every
// thread of the service (it is inherited across clone and execve, and cannot be
// taken off) sorts calls by their number: those that rules name stop and wait
// for an answer, all others go on at the cost of a lookup. io_uring, which
// would slip by, does not exist for a watched service, nor does io_submit(2) where
// reads, writes or syncs are watched; calls of 32-bit programs are watched like
// others, those of the x32 ABI do not exist.
//
//	abi, names, numbers   what calls there are; gen writes numbers.go
//	arguments, errnos     what their arguments lead to, and how they can fail
//	filter                the program that the kernel runs for every call
//	shim                  puts the filter on itself, hands its listener over and becomes the service
//	relief                what its threads do meanwhile
//	attach                starts the shim in place of the service, then the supervisor
//	supervisor, act       receives calls, asks the rules, answers
//	again                 one call that the kernel makes twice (before Linux 5.19)
//	inspect, look         what a call is about: files, sockets, peers, processes
//	connect               connections that are led elsewhere in the caller's place
//	transfer              calls done in part, or only claimed to be done
//	arena, keeper         if faultbox dies: whoever waits is let go, and goes on unwatched
//
// What is read of a process is used only after the kernel confirmed that its
// call still waits, so it was not read of another that took its number. A
// program could still change its memory between the moment it is read and the
// moment the kernel reads it: what rules match on is a description of the call,
// not a guard.
//
// The shim and the keeper are the same program as whatever uses this package,
// started under another name: main calls Helper first.
package syscalls

//go:generate go run ./gen
