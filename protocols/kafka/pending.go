package kafka

import "faultbox/protocols"

// exchange is a request that the server has yet to answer.
type exchange struct {
	id uint64
	header
	token   bool             // not a request: a bare SASL token
	replica bool             // a Fetch by another broker
	swallow bool             // the client hears nothing of the answer: it was asked for by a fault
	reply   *protocols.Reply // replaces what a Metadata answer says of topics; nil: nothing
	parts   []part           // of Produce
	merge   bool             // some of parts were not forwarded
}

// part is one partition of a Produce request, in the request's order.
type part struct {
	topic     string
	id        [16]byte // instead of topic, from version 13 on
	partition int32
	from, to  int   // its batches in scanner.batches, while the request is the newest
	items     int   // how many items of the frame are its messages
	stored    int64 // how many messages are stored
	sent      sent
	known     bool // all of it was sent before
	ours      bool // not forwarded: answered by offset, code and message
	code      int16
	message   string
	offset    int64
}

// pending is a queue of exchanges.
type pending struct {
	list []exchange
	head int
	free [][]part
}

func (q *pending) push(x exchange) {
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, x)
}

// take removes and returns the exchange that an answer with that correlation
// id belongs to, and those before it, which were not answered. An answer that is
// too short to have one can be a token only.
func (q *pending) take(correlation int32, has bool) (x exchange, ok bool) {
	for i := q.head; i < len(q.list); i++ {
		x = q.list[i]
		if !x.token && (!has || x.correlation != correlation) {
			continue
		}
		for j := q.head; j < i; j++ {
			q.reuse(q.list[j].parts)
		}
		clear(q.list[q.head : i+1])
		if q.head = i + 1; q.head == len(q.list) {
			q.list, q.head = q.list[:0], 0
		}
		return x, true
	}
	return exchange{}, false
}

// newest returns the exchange pushed last if it has that id, else nil.
func (q *pending) newest(id uint64) *exchange {
	if len(q.list) == q.head || q.list[len(q.list)-1].id != id {
		return nil
	}
	return &q.list[len(q.list)-1]
}

// drop takes back the exchange with that id, if it was pushed last: the server
// never hears of it.
func (q *pending) drop(id uint64) {
	if q.newest(id) != nil {
		q.list = q.list[:len(q.list)-1]
	}
}

// spare returns an empty slice of parts.
func (q *pending) spare() []part {
	if n := len(q.free); n > 0 {
		parts := q.free[n-1]
		q.free = q.free[:n-1]
		return parts[:0]
	}
	return nil
}

func (q *pending) reuse(parts []part) {
	if cap(parts) > 0 && len(q.free) < 16 {
		clear(parts)
		q.free = append(q.free, parts)
	}
}
