//go:build !linux

package proxy

// loop is only for Linux; elsewhere each lane has a goroutine.
type loop struct{}

func (r *relay) enter() bool { return false }
func (r *relay) leave()      {}
func (r *relay) rejoin()     {}
