// Package network impairs the packets between the services of a world:
// partition, loss, bandwidth. A BPF program on the world's cgroup, or for
// containers at the top of all cgroups, drops packets (see bpf/network.c), so it
// needs no queueing discipline, works on kernels from 5.15, and hits connections
// that exist already. Links are not pinned: when faultbox dies, every packet
// passes.
package network
