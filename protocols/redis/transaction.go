package redis

import (
	"slices"
	"strconv"

	"faultbox/protocols"
)

// transaction is what MULTI began. The server answers each queued command with
// QUEUED, and EXEC with an array of the answers proper.
type transaction struct {
	queued int    // commands that the client has queued
	edits  []edit // elements of EXEC's answer to exchange, in their order
}

// edit exchanges one element of an array; an empty value takes it out.
type edit struct {
	slot  int32
	value []byte
}

// The commands that go to the server in another one's place.
var (
	// rejected is no command of any server: the answer is an error, and a
	// transaction in which it is queued aborts at EXEC.
	rejected  = []byte("*1\r\n$17\r\nFAULTBOX.REJECTED\r\n")
	discarded = []byte("*1\r\n$7\r\nDISCARD\r\n")
	harmless  = []byte("*1\r\n$4\r\nPING\r\n")
)

func (t *transaction) edit(slot int32, value []byte) {
	i, _ := slices.BinarySearchFunc(t.edits, slot, func(e edit, slot int32) int { return int(e.slot - slot) })
	t.edits = slices.Insert(t.edits, i, edit{slot, value})
}

// newestTxn returns the transaction that the client is in, nil if it is one
// whose answers are switched off.
func (c *codec) newestTxn() *transaction {
	if len(c.txns) == 0 || c.session.off {
		return nil
	}
	return c.txns[len(c.txns)-1]
}

// replyQueued exchanges a command that MULTI queues. An error is what queueing
// it answers, and EXEC then aborts; any other value is what EXEC tells of it.
func (c *codec) replyQueued(e *exchange, r *protocols.Reply) (forward []byte) {
	if r.Error {
		c.rewrite(e, appendReply(nil, r, e, c.version()))
		return rejected
	}
	if t := c.newestTxn(); t != nil {
		t.edit(e.slot, appendReply(nil, r, e, c.version()))
	}
	return harmless
}

// repeatQueued makes room for the second copy of a queued command, of which
// EXEC's answer is not to tell.
func (c *codec) repeatQueued(e *exchange) {
	if t := c.newestTxn(); t != nil {
		t.edit(int32(t.queued), nil)
		t.queued++
	}
}

// decodeExec passes on an EXEC's answer element by element, exchanging those
// that have been edited. It begins in front of the array's "*" line.
func (c *codec) decodeExec(buf []byte) (protocols.Frame, int, error) {
	a := &c.answer
	f := protocols.Frame{ID: a.of.id, More: true}
	if a.element < 0 {
		n, next, err := length(buf, 0)
		if next == 0 || err != nil {
			return protocols.Frame{}, 0, err
		}
		a.element, a.elements = 0, n
		for _, e := range a.edits {
			if len(e.value) == 0 && int(e.slot) < a.elements {
				n--
			}
		}
		f.Raw = append(strconv.AppendInt(append(a.raw[:0], '*'), int64(n), 10), '\r', '\n')
		a.raw = f.Raw
		c.endExec(&f)
		return f, next, nil
	}
	n, done, err := a.take(buf)
	if n == 0 || err != nil {
		return protocols.Frame{}, 0, err
	}
	if len(a.edits) > 0 && int(a.edits[0].slot) == a.element {
		f.Raw = []byte{}
		if !a.more {
			f.Raw = append(f.Raw, a.edits[0].value...)
		}
		if done {
			a.edits = a.edits[1:]
		}
	}
	if a.more = !done; done {
		a.element++
		c.endExec(&f)
	}
	return f, n, nil
}

// endExec ends an array that has no further element.
func (c *codec) endExec(f *protocols.Frame) {
	if a := &c.answer; a.element == a.elements {
		f.End, f.More = true, false
		a.exec, a.edits = false, nil
	}
}
