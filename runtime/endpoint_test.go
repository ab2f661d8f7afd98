package runtime

import (
	"net"
	"testing"
)

// A connection is on the edge to the interface that it reaches, wherever the
// client began.
func TestReached(t *testing.T) {
	r, _, _ := fixture()
	s := &stage{runner: r, world: fakeWorld{new(int)}}
	api, db := r.Spec.Services[0], r.Spec.Services[1]
	for addr, want := range map[string]*Service{"127.0.0.1:5432": db, "[::1]:5432": db, "127.0.0.1:80": api, "127.0.0.1:9999": api, "192.0.2.1:5432": api} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got, itf := s.reached(a, api, api.Interfaces[0]); got != want || itf != want.Interfaces[0] {
			t.Errorf("%s is said to be at %s, want %s", addr, got.Name, want.Name)
		}
	}
	near, _ := net.Pipe()
	if got, _ := s.reached(near.RemoteAddr(), db, db.Interfaces[0]); got != db {
		t.Errorf("a pipe is said to be at %s", got.Name)
	}
}
