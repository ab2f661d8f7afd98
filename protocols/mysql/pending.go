package mysql

import (
	"slices"

	"faultbox/protocols"
)

// entry is a command that the server has yet to answer.
type entry struct {
	id    uint64 // of its exchange; 0: a command of ours, or the client has its answer
	kind  kind
	stmt  *statement // nil: not a statement
	prep  *prepared  // of COM_STMT_EXECUTE
	types []byte     // that were put into it
	seq   byte       // of the packet that answers it
	// packed is its number on a compressed connection, which counts its own packets.
	packed byte
	begun  bool // the server has begun to answer

	act   act
	reply *protocols.Reply // for replaced

	stage   stage
	left    int // definitions still to come
	columns int // COM_STMT_PREPARE: definitions to come after those
}

// act is what is done to the server's answer.
type act uint8

const (
	shown    act = iota
	hidden       // the client hears nothing of it
	replaced     // all of it is hidden, reply comes at its end
	undone       // as replaced, but a transaction that is open then is first rolled back
)

// stage is what the server says next.
type stage uint8

const (
	opening     stage = iota // the first packet of a result
	definitions              // column or parameter definitions
	defined                  // EOF behind them
	rows                     // rows or EOF
	single                   // one packet, whatever it is
	switching                // COM_CHANGE_USER: like authentication
	preparing                // the OK of COM_STMT_PREPARE
)

// pending is a queue of entries.
type pending struct {
	list []entry
	head int
}

func (q *pending) len() int { return len(q.list) - q.head }

// front returns the entry that the server answers now, nil if there is none.
func (q *pending) front() *entry {
	if q.len() == 0 {
		return nil
	}
	return &q.list[q.head]
}

func (q *pending) push(e entry) {
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}

// pop drops the first entry.
func (q *pending) pop() {
	q.list[q.head] = entry{}
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

// newest returns the last entry if it is that of exchange id, else nil.
func (q *pending) newest(id uint64) *entry {
	if q.len() == 0 || q.list[len(q.list)-1].id != id {
		return nil
	}
	return &q.list[len(q.list)-1]
}

// dropNewest takes back the last entry: the server never hears of it.
func (q *pending) dropNewest() {
	q.list = q.list[:len(q.list)-1]
	if q.len() == 0 {
		q.list, q.head = q.list[:0], 0
	}
}

// before puts an entry in front of the last one.
func (q *pending) before(e entry) {
	q.list = slices.Insert(q.list, len(q.list)-1, e)
}
