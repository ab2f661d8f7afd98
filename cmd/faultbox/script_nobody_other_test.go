//go:build !linux

package main

import (
	"fmt"
	"os"
)

// asNobody becomes nobody on Linux only, where services run.
func asNobody() {
	fmt.Fprintln(os.Stderr, "as-nobody: needs Linux")
	os.Exit(99)
}
