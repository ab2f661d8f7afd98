package nats

import (
	"bytes"
	"encoding/json"
	"fmt"

	"faultbox/protocols"
)

// Apply implements protocols.Codec. A message has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	control, _, _ := bytes.Cut(raw, []byte("\n"))
	var l line
	if err := l.parse(bytes.TrimSuffix(control, []byte("\r")), spoken[d]); err != nil {
		return raw, nil
	}
	switch {
	case fate.Act == protocols.Twice && d == protocols.ToServer:
		c.repeat(&l, f.ID)
		return double(raw), nil
	case fate.Act == protocols.Twice && len(f.Items) > 0:
		return double(raw), nil
	case fate.Act == protocols.Lose && d == protocols.ToServer:
		return nil, c.withhold(&l, f.ID)
	case fate.Act == protocols.Lose:
		return nil, nil
	case fate.Act != protocols.Answer || fate.Reply == nil:
		return raw, nil
	case d == protocols.ToServer:
		return c.refuse(&l, f.ID, fate.Reply)
	}
	return c.instead(&l, len(f.Items) == 0, fate.Reply), nil
}

func double(b []byte) []byte { return append(append(make([]byte, 0, 2*len(b)), b...), b...) }

// repeat notes that a message is published two times. What is said to the
// second one is for nobody.
func (c *codec) repeat(l *line, id uint64) {
	if r, watched := c.requests[string(l.reply)]; watched && r.id == id {
		c.requests[string(l.reply)] = request{id: id, twice: true}
	}
	c.expectOK(ack{drop: true})
}

// withhold takes back the newest message: the server never hears of it. It
// returns what the client hears at once.
func (c *codec) withhold(l *line, id uint64) []byte {
	if r, watched := c.requests[string(l.reply)]; watched && r.id == id {
		delete(c.requests, string(l.reply))
	}
	if !c.verbose || len(c.acks) == 0 {
		return nil
	}
	c.acks = c.acks[:len(c.acks)-1]
	return []byte("+OK\r\n")
}

// nothing is a command that the server answers in verbose mode and that does
// nothing: no client has a subscription of that name.
var nothing = []byte("UNSUB _\r\n")

// refuse answers the newest message in the server's place.
func (c *codec) refuse(l *line, id uint64, r *protocols.Reply) (forward, back []byte) {
	if on := c.subs.taking(l.reply); l.reply != nil && on != nil {
		if b := c.tell(r, l.reply, []byte(on.sid)); b != nil {
			c.subs.deliver([]byte(on.sid))
			return nil, append(c.withhold(l, id), b...)
		}
	}
	if r.Status != 0 {
		return nil, c.withhold(l, id)
	}
	e := errLine(r, "Publish to", l.subject)
	if r, watched := c.requests[string(l.reply)]; !c.verbose || len(c.acks) == 0 || watched && r.id == id {
		return nil, append(c.withhold(l, id), e...)
	}
	c.acks[len(c.acks)-1].raw = e // in its place among the other +OK
	return nothing, nil
}

// instead is what the client hears in place of a message, which may be the
// answer to a request, or of +OK.
func (c *codec) instead(l *line, answer bool, r *protocols.Reply) []byte {
	if l.op != msg && l.op != hmsg {
		return errLine(r, "Publish to", []byte(c.acked.subject))
	}
	if b := c.tell(r, l.subject, l.sid); b != nil && (answer || r.Status != 0) {
		return b
	}
	return errLine(r, "Subscription to", l.subject)
}

// tell is the message that says r to a subscription, nil if only -ERR can.
func (c *codec) tell(r *protocols.Reply, subject, sid []byte) []byte {
	switch {
	case len(r.Code) == len("10000") && isNumber(r.Code):
		text, _ := json.Marshal(r.Message)
		body := fmt.Appendf(nil, `{"error":{"code":%d,"err_code":%s,"description":%s},"stream":"","seq":0}`, statusOf(r), r.Code, text)
		return fmt.Appendf(nil, "MSG %s %s %d\r\n%s\r\n", subject, sid, len(body), body)
	case !isNumber(r.Code), !c.headers, r.Status == 0 && !c.noResponders:
		return nil
	}
	head := "NATS/1.0 " + r.Code
	if r.Message != "" && (r.Code != noResponders || !contains(r.Message, answers[0].means)) {
		head += " " + r.Message
	}
	head += "\r\n\r\n"
	return fmt.Appendf(nil, "HMSG %s %s %d %d\r\n%s\r\n", subject, sid, len(head), len(head), head)
}

func isNumber(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// errLine is -ERR. what and subject complete the one that says what is not
// permitted, which is also what the server says when there is no message.
func errLine(r *protocols.Reply, what string, subject []byte) []byte {
	text := r.Message
	if text == "" || text == permissions {
		text = fmt.Sprintf("%s for %s %q", permissions, what, subject)
	}
	return fmt.Appendf(nil, "-ERR '%s'\r\n", text)
}
