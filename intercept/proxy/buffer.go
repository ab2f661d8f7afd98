package proxy

import (
	"math/bits"
	"sync"
)

const (
	minBuffer = 32 << 10
	minBits   = 15 // minBuffer is 1<<minBits
)

// buffers are pools of read buffers of 32 KB, 64 KB, 128 KB … bytes.
var buffers [20]sync.Pool

// getBuffer returns a buffer of at least size bytes.
func getBuffer(size int) *[]byte {
	class := max(bits.Len(uint(size-1)), minBits) - minBits
	if class < len(buffers) {
		if b, _ := buffers[class].Get().(*[]byte); b != nil {
			return b
		}
	}
	b := make([]byte, max(size, minBuffer<<class))
	return &b
}

func putBuffer(b *[]byte) {
	if class := bits.Len(uint(cap(*b)-1)) - minBits; class < len(buffers) {
		buffers[class].Put(b)
	}
}
