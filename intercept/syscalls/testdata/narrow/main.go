// Command narrow makes calls the way 32-bit programs do; tests build it for
// GOARCH=386.
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

func main() {
	f, err := os.Create(os.Args[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Sync())
	n, err := f.Write([]byte("0123456789"))
	fmt.Println(n, err)
	_, err = net.Dial("tcp", "127.0.0.1:1")
	fmt.Println(err)
	fmt.Println(os.Remove(os.Args[1]))
	_, _, e := syscall.RawSyscall(425, 1, 0, 0) // io_uring_setup
	fmt.Println(e)
}
