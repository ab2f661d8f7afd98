package postgres

import (
	"slices"

	"faultbox/protocols"
)

// entry is a message of the client that the server has yet to answer.
type entry struct {
	kind   byte // its type
	id     uint64
	act    act
	reply  *protocols.Reply // for replaced: the error asked for; nil: none
	stmt   *statement       // of Query and Execute
	portal *portal          // of Execute
	late   bool             // a Sync that the server may have ignored because of COPY
}

// act is what is done to the server's answer.
type act uint8

const (
	shown    act = iota
	replaced     // of a message of ours: the error becomes reply, or is hidden if that is nil; all but ReadyForQuery is hidden
	hidden       // all is hidden
	silent       // all but an error is hidden
)

// pending is a queue of entries.
type pending struct {
	list []entry
	head int
}

func (q *pending) entries() []entry { return q.list[q.head:] }

func (q *pending) push(e entry) {
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}

// pop drops the first n entries.
func (q *pending) pop(n int) {
	clear(q.list[q.head : q.head+n])
	q.head += n
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

// find returns the entry of exchange id, nil if it is not pending any more.
func (q *pending) find(id uint64) *entry {
	list := q.entries()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].id == id {
			return &list[i]
		}
	}
	return nil
}

// insert puts entries in front of that of exchange id.
func (q *pending) insert(id uint64, add ...entry) {
	for i := len(q.list) - 1; i >= q.head; i-- {
		if q.list[i].id == id {
			q.list = slices.Insert(q.list, i, add...)
			return
		}
	}
}

// marker reports whether the server sends no answer to e, or maybe none.
func (e *entry) marker() bool { return e.kind == 'c' || e.late }

// readies reports whether a ReadyForQuery ends the answer.
func (e *entry) readies() bool { return e.kind == 'Q' || e.kind == 'S' || e.kind == 'F' }

// front makes the entry the first that an answer of a type belonging to kinds
// is for and returns it. If there is none it leaves the queue alone and
// returns nil.
func (q *pending) front(kinds string) *entry {
	list := q.entries()
	for i := range list {
		e := &list[i]
		for k := range len(kinds) {
			if e.kind == kinds[k] && !e.late {
				q.pop(i)
				return e
			}
		}
		if !e.marker() && e.readies() && kinds != ready {
			return nil
		}
	}
	return nil
}

// What an answer can belong to.
const (
	rows  = "QE"  // DataRow, CommandComplete …
	ready = "QSF" // ReadyForQuery
)
