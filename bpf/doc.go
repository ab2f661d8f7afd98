// Package bpf holds what runs in the kernel: C sources, the objects built from
// them, and the bindings that bpf2go writes. It holds nothing else; who loads
// and attaches the programs is told in intercept/redirect.
//
// The objects are committed, so that building faultbox needs no C compiler.
// After a change to a source run
//
//	go generate ./bpf
//
// with clang, llvm-strip and libbpf's headers installed. The objects name no
// path and no time: the same compiler gives the same bytes on every machine.
// One little-endian object serves amd64 and arm64.
package bpf

//go:generate go tool bpf2go -target bpfel -cflags "-std=gnu11 -O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude" -type endpoint -type rule_key -type rule -type service -type socket -type source -type inlet Redirect redirect.c
//go:generate go tool bpf2go -target bpfel -cflags "-std=gnu11 -O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude" -type flow -type impairment Network network.c
