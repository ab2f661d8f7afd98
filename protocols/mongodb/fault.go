package mongodb

import (
	"encoding/binary"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"faultbox/protocols"
)

// exchange is what is remembered of a request until its answer has come.
type exchange struct {
	id      uint64 // 0: one of ours, whose answer nobody is to hear
	request int32  // its requestID
	op      string // the command's name, if it is insert, update or delete
	chore   bool
	legacy  bool // OP_QUERY: it is answered by an OP_REPLY
	sum     bool // it had a checksum
	exhaust bool // answers may be streamed
	streams bool // … and more are to come

	retryable bool // a write that drivers repeat
	ends      bool // commitTransaction, abortTransaction
	commits   bool
	within    bool   // a transaction
	starts    bool   // … its first statement
	abort     []byte // the command that aborts its transaction; nil: there is none to abort
	failing   int    // documents of the write that an error is about
	rewrite   []byte // what the client hears instead of the answer
	rewritten string // its code
}

func newExchange(id uint64, m *message, cmd *command) exchange {
	x := exchange{
		id: id, request: m.id, legacy: m.op == opQuery, chore: isChore(string(cmd.name)),
		sum: m.op == opMsg && m.flags&checksumPresent != 0, exhaust: m.op == opMsg && m.flags&exhaustAllowed != 0,
		within: cmd.transaction, starts: cmd.starts, failing: 1,
		retryable: cmd.txnNumber != nil && !cmd.transaction,
	}
	switch string(cmd.name) {
	case "insert", "update", "delete":
		x.op = string(cmd.name)
		if cmd.unordered {
			x.failing = max(1, cmd.documents)
		}
	case "commitTransaction":
		x.ends, x.commits = true, true
	case "abortTransaction":
		x.ends = true
	}
	if cmd.transaction && cmd.lsid != nil && cmd.txnNumber != nil && (!x.ends || x.commits) {
		x.abort = abortDocument(cmd)
	}
	return x
}

// abortDocument is the command that aborts the transaction cmd is part of.
func abortDocument(cmd *command) []byte {
	at, doc := bsoncore.AppendDocumentStart(nil)
	doc = bsoncore.AppendInt32Element(doc, "abortTransaction", 1)
	doc = append(append(append(doc, cmd.lsid...), cmd.txnNumber...), cmd.recovery...)
	doc = bsoncore.AppendBooleanElement(doc, "autocommit", false)
	doc = bsoncore.AppendStringElement(doc, "$db", "admin")
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	return doc
}

func command0(id int32, doc []byte) []byte {
	return finish(append(append(begin(nil, id, 0, 0), 0), doc...))
}

// Apply implements protocols.Codec. A request has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 || len(raw) < headerLen {
		return raw, nil
	}
	fate := &fates[0]
	if d == protocols.ToClient {
		if x := &c.answered; x.id == f.ID && x.id != 0 && fate.Act == protocols.Answer && fate.Reply != nil {
			return c.replace(x, raw, fate)
		}
		return raw, nil
	}
	x, awaited := c.pending[idOf(raw)]
	awaited = awaited && x.id == f.ID
	if !awaited && !f.Oneway {
		return raw, nil
	}
	switch {
	case fate.Act == protocols.Twice:
		return c.twice(&x, raw, awaited)
	case fate.Act == protocols.Lose, fate.Act == protocols.Answer && !awaited:
		delete(c.pending, idOf(raw))
		return nil, nil
	case fate.Act == protocols.Answer && fate.Reply != nil:
		return c.refuse(&x, fate.Reply)
	}
	return raw, nil
}

// refuse answers a request in the server's place.
func (c *codec) refuse(x *exchange, r *protocols.Reply) (forward, back []byte) {
	answer := c.write(x, x.failure(r))
	if x.abort == nil || x.starts || x.commits && undecided[number32(r.Code)] {
		delete(c.pending, x.request)
		return nil, answer
	}
	x.rewrite, x.rewritten = answer, r.Code
	x.exhaust = false
	c.pending[x.request] = *x
	return command0(x.request, x.abort), nil
}

// replace makes what the client hears instead of the server's answer.
func (c *codec) replace(x *exchange, raw []byte, fate *protocols.Fate) (forward, back []byte) {
	doc := x.failure(fate.Reply)
	if code := number32(fate.Reply.Code); concerns[code] && x.op != "" {
		if m, h := &c.message, readHeader(raw); len(raw) == int(h.length) && c.read(m, h, raw) && m.doc != nil {
			doc = withConcern(m.doc, fate.Reply)
		}
	}
	if x.streams {
		reply := *fate.Reply // the server goes on, and nobody waits for that
		reply.Close = true
		fate.Reply = &reply
	}
	if x.abort != nil && !x.ends {
		id := c.ourID()
		c.pending[id] = exchange{}
		back = command0(id, x.abort)
	}
	return c.write(x, doc), back
}

// write makes the message that answers x with doc.
func (c *codec) write(x *exchange, doc []byte) []byte {
	if x.legacy {
		le := binary.LittleEndian
		b := begin(nil, c.ourID(), x.request, 0)
		le.PutUint32(b[12:], opReply)
		b = append(b, make([]byte, 8+4)...) // cursorID, startingFrom
		b = le.AppendUint32(b, 1)           // numberReturned
		return finish(append(b, doc...))
	}
	flags := uint32(0)
	if x.sum {
		flags = checksumPresent
	}
	return finish(append(append(begin(nil, c.ourID(), x.request, flags), 0), doc...))
}

// twice has a request done two times. The client hears the first answer; the
// second one is swallowed.
func (c *codec) twice(x *exchange, raw []byte, awaited bool) (forward, back []byte) {
	h, m := readHeader(raw), &c.message
	if x.chore || len(raw) != int(h.length) || !c.read(m, h, raw) || m.doc == nil {
		return raw, nil
	}
	cmd, ok := readCommand(m)
	if !ok || isChore(string(cmd.name)) {
		return raw, nil
	}
	id := c.ourID()
	var second []byte
	if m.op == opQuery {
		second = slices.Clone(raw[:headerLen])
		second = append(second, m.body...)
		binary.LittleEndian.PutUint32(second[4:], uint32(id))
		binary.LittleEndian.PutUint32(second[12:], opQuery)
		second = finish(second)
	} else {
		second = begin(nil, id, 0, m.flags&^exhaustAllowed)
		second = append(append(second, 0), own(m.doc, &cmd)...)
		for _, s := range m.sequences {
			second = append(append(second, 1), s...)
		}
		second = finish(second)
	}
	if awaited {
		c.pending[id] = exchange{}
	}
	return append(slices.Clone(raw), second...), nil
}

// own returns a command as one that is done in its own right: see the package
// comment.
func own(doc []byte, cmd *command) []byte {
	at, out := bsoncore.AppendDocumentStart(nil)
	elements(doc, func(_ int, key, e []byte) {
		switch string(key) {
		case "startTransaction":
			return
		case "txnNumber", "stmtId", "stmtIds":
			if !cmd.transaction {
				return
			}
		}
		out = append(out, e...)
	})
	out, _ = bsoncore.AppendDocumentEnd(out, at)
	return out
}

// number32 returns a code that check has made a number.
func number32(code string) int32 {
	n, _ := strconv.ParseInt(code, 10, 32)
	return int32(n)
}
