package memcached

import "slices"

// entry is a command.
type entry struct {
	id     uint64 // of its exchange; 0: of none, or a command of ours
	form   form
	op     string
	key    string
	base64 string   // the key of a meta command that sends it so (flag b), as it came
	keys   []string // of a get of many
	flags  []string // of a meta command
	mute   bool     // it says noreply
	quiet  bool     // it is answered only if there is something to tell
	opcode byte     // binary
	opaque [4]byte  // binary

	hidden  bool   // the client does not hear the answer
	instead []byte // not nil: the client hears this in place of the answer
}

// form is the shape of an answer.
type form uint8

const (
	line    form = iota // one line
	values              // VALUE … END
	list                // lines up to END, OK or RESET
	dump                // lines up to END or EN
	meta                // a line, with a data block if it begins with VA
	packet              // a binary packet
	packets             // binary packets up to an empty one
)

// pending is a queue of commands, oldest first.
type pending struct {
	list []entry
	head int
}

func (q *pending) entries() []entry { return q.list[q.head:] }

// front returns the oldest command, nil if there is none.
func (q *pending) front() *entry {
	if q.head == len(q.list) {
		return nil
	}
	return &q.list[q.head]
}

// newest returns the one that was pushed last; there is one.
func (q *pending) newest() *entry { return &q.list[len(q.list)-1] }

func (q *pending) push(e entry) {
	if q.head > 32 && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, e)
}

func (q *pending) pop() {
	q.list[q.head] = entry{}
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

// dropNewest takes back the newest command: the server never hears of it.
func (q *pending) dropNewest() { q.list = q.list[:len(q.list)-1] }

// before puts a command in front of the newest one.
func (q *pending) before(e entry) { q.list = slices.Insert(q.list, len(q.list)-1, e) }

func (q *pending) anyQuiet() bool {
	return slices.ContainsFunc(q.entries(), func(e entry) bool { return e.quiet })
}
