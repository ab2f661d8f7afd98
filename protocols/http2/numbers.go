package http2

import (
	"encoding/binary"

	"faultbox/protocols"
)

// stream is one that the client has opened, until both sides have ended it.
type stream struct {
	id     uint64 // of the exchange
	num    uint32 // as the client numbers it
	server uint32 // as the server does; 0: it has not seen it
	head   bool   // the method is HEAD
	kind   string // the request's content-type
	http1  bool   // asked for in HTTP/1.1, see upgrade.go

	began    bool     // the client has the head of the answer
	over     [2]bool  // by direction: the sender has ended it
	dropped  [2]bool  // by direction: nothing of it goes on
	explicit [2]bool  // by direction: each frame is returned as Raw
	held     [2]bool  // by direction: the relay keeps its frames for later
	granted  int64    // what the client has added to the stream's window
	counts   *counter // of the answer's messages; nil: none
	copy     *copied  // for Twice; nil: none
	original *stream  // this one is the second copy of that one
	reply    []byte   // the head of our own answer, until it is released
	removed  bool
}

// numbers relates the two sides' numbers of streams.
type numbers struct {
	streams  map[uint32]*stream // by the client's number
	highest  uint32             // the client's newest
	differ   bool
	next     uint32 // the server's next, once they differ
	byServer map[uint32]*stream
}

// find returns the stream of a frame, nil if there is none.
func (t *numbers) find(d protocols.Dir, num uint32) *stream {
	if d == protocols.ToClient && t.differ {
		return t.byServer[num]
	}
	return t.streams[num]
}

// beginToDiffer notes that from here on the server's numbers are its own,
// beginning with next.
func (t *numbers) beginToDiffer(next uint32) {
	if t.differ {
		return
	}
	t.differ, t.next = true, next
	t.byServer = make(map[uint32]*stream)
	for _, s := range t.streams {
		if s.server != 0 {
			t.byServer[s.server] = s
		}
	}
}

// assign gives s the server's next number.
func (t *numbers) assign(s *stream) {
	s.server = t.next
	t.next += 2
	if !s.removed {
		t.byServer[s.server] = s
	}
}

// withdraw takes back the number of s, which is the newest.
func (t *numbers) withdraw(s *stream) {
	t.beginToDiffer(s.server)
	delete(t.byServer, s.server)
	t.next, s.server = s.server, 0
}

func (t *numbers) remove(s *stream) {
	s.removed = true
	if t.streams[s.num] == s {
		delete(t.streams, s.num)
	}
	if t.differ && t.byServer[s.server] == s {
		delete(t.byServer, s.server)
	}
}

// target is the number of s toward the receiver of direction d.
func (s *stream) target(d protocols.Dir) uint32 {
	if d == protocols.ToServer && s.server != 0 {
		return s.server
	}
	return s.num
}

// goAway translates the server's GOAWAY, whose frame is b: the client takes
// all its streams for served, and those that are not are refused one by one.
func (c *codec) goAway(dst, b []byte) []byte {
	last := binary.BigEndian.Uint32(b[headerLen:]) & maxNumber
	dst = append(dst, b...)
	if last == maxNumber { // a warning; the true one follows
		return dst
	}
	binary.BigEndian.PutUint32(dst[len(dst)-len(b)+headerLen:], c.highest)
	for _, s := range c.streams {
		if (s.server == 0 || s.server > last) && !s.over[protocols.ToClient] && !s.dropped[protocols.ToClient] {
			dst = appendReset(dst, s.num, codeRefuse)
		}
	}
	return dst
}
