// Command int80 is a 64-bit program that makes a call of 32-bit x86, getppid, and
// prints its result.
package main

import "fmt"

// int80 makes a call without arguments.
func int80(number uint64) int64

func main() { fmt.Println(int32(int80(64))) }
