package amqp

import (
	"encoding/binary"
	"strconv"

	"faultbox/protocols"
)

// imply returns, one at each call, the answers that the server's frame at hand
// implies besides being one itself.
func (c *codec) imply(d protocols.Dir, num uint16, kind byte, buf []byte) (f protocols.Frame, has bool) {
	if d == protocols.ToServer || kind != frameMethod || len(buf) < overhead+4 {
		return f, false
	}
	if !c.known {
		c.known = true
		c.look(num, method(binary.BigEndian.Uint32(buf[7:])), args(buf[11:len(buf)-1]))
	}
	if len(c.implied) == 0 {
		c.known = false
		return f, false
	}
	x := c.implied[0]
	c.implied = c.implied[1:]
	return protocols.Frame{ID: x.id, End: true, Err: x.err, Stream: uint64(num), More: c.side[d].open > 0}, true
}

// look finds what a method of the server implies.
func (c *codec) look(num uint16, m method, a args) {
	ch := c.channel(num)
	c.implied, c.covered, c.told = c.implied[:0], c.covered[:0], 0
	end := func(ids []uint64, err string) {
		for _, id := range ids {
			c.implied = append(c.implied, implied{id, err})
		}
	}
	switch {
	case m == channelCloseOk && ch.refused != nil:
		end(ch.outstanding(ch.refused.id), ch.refused.code)
	case m == channelCloseOk:
		end(ch.outstanding(0), "")
	case m == channelClose && ch.refused != nil:
	case m == basicAck, m == basicNack:
		tag := a.long()
		c.covered = ch.confirmed(c.covered, tag, a.octet()&1 != 0)
		for i := range max(0, c.lastCovered()) {
			if p := c.covered[i]; !p.extra {
				c.implied = append(c.implied, implied{p.id, nacked(m)})
			}
		}
	case m == basicGetOk:
		for _, x := range ch.calls {
			if x.reply == basicGetOk {
				if !x.extra {
					c.reply = x
					end([]uint64{x.id}, "")
				}
				break
			}
		}
	case m == channelClose, m == connectionClose:
		number := strconv.Itoa(int(a.short()))
		a.str()
		blamed, _ := ch.blamed(method(binary.BigEndian.Uint32(a.take(4))))
		end(ch.outstanding(blamed), number)
		if m == connectionClose {
			for other, x := range c.channels {
				if other != num {
					end(x.outstanding(0), number)
					x.calls, x.pubs, x.closed = nil, nil, true
				}
			}
		}
	}
}

// lastCovered is the index of the newest publish that the client awaits a
// confirm of among those covered, -1 if there is none.
func (c *codec) lastCovered() int {
	for i := len(c.covered) - 1; i >= 0; i-- {
		if !c.covered[i].extra {
			return i
		}
	}
	return -1
}

func nacked(m method) string {
	if m == basicNack {
		return nackCode
	}
	return ""
}

// blamed returns the call that a close is the answer to.
func (ch *channel) blamed(of method) (id uint64, found bool) {
	for _, x := range ch.calls {
		if x.of == of && !x.extra {
			return x.id, true
		}
	}
	return 0, false
}

// server is a method that the server sends.
func (c *codec) server(ch *channel, num uint16, m method, a args) protocols.Frame {
	if r := ch.refused; r != nil && m == channelClose { // both close it at the same time
		return protocols.Frame{Raw: none, Back: appendMethod(nil, num, channelCloseOk)}
	} else if r != nil && m == channelCloseOk {
		c.channels[num] = &channel{deaf: ch.deaf, content: ch.content}
		return protocols.Frame{ID: r.id, End: true, Err: r.code, Raw: r.say}
	}
	switch m {
	case basicAck, basicNack:
		return c.confirm(ch, num, m, a)
	case basicDeliver, basicGetOk, basicReturn:
		return c.deliver(ch, m, a)
	case channelClose, connectionClose:
		f := protocols.Frame{Err: strconv.Itoa(int(a.short()))}
		a.str()
		f.ID, f.End = ch.blamed(method(binary.BigEndian.Uint32(a.take(4))))
		f.Stream = closing(m).Stream
		ch.calls, ch.pubs, ch.consumers, ch.closed = nil, nil, nil, true
		return f
	case channelCloseOk:
		c.forget(num, ch)
		return protocols.Frame{}
	case basicCancel:
		delete(ch.consumers, string(a.str()))
	}
	x, found := ch.answered(m)
	switch {
	case !found:
		return protocols.Frame{}
	case x.extra:
		return protocols.Frame{Raw: none}
	}
	c.reply = x
	switch m {
	case basicConsumeOk:
		ch.consumes(string(a.str()), x)
	case queueDeclareOk:
		ch.queue = string(a.str())
	}
	return protocols.Frame{ID: x.id, End: true}
}

// confirm is basic.ack or basic.nack, with the tag that the client counts.
func (c *codec) confirm(ch *channel, num uint16, m method, a args) protocols.Frame {
	if len(c.covered) == 0 {
		return protocols.Frame{}
	}
	tag := a.long()
	many := a.octet()&1 != 0
	i := c.lastCovered()
	if i < 0 {
		return protocols.Frame{Raw: none}
	}
	p := c.covered[i]
	f := protocols.Frame{ID: p.id, End: true, Err: nacked(m)}
	switch {
	case ch.refused != nil && ch.refused.mute:
		f.Raw = none
	case !ch.shifted || tag == 0:
	case many:
		f.Raw = c.recount(nil, num, m, i)
	default:
		f.Raw = appendAck(nil, num, m, p.client, false)
	}
	return f
}

// recount appends confirms of the publishes covered up to the i-th that the
// client has not been told of. It leaves out those that were answered here:
// some clients take a confirm of many to overrule an earlier one of a single.
func (c *codec) recount(b []byte, num uint16, m method, i int) []byte {
	var last publish
	for _, p := range c.covered[:i+1] {
		if p.extra || p.client <= c.told {
			continue
		}
		if last.client != 0 && p.client != last.client+1 {
			b = appendAck(b, num, m, last.client, true)
		}
		last = p
	}
	if last.client == 0 {
		return b
	}
	return appendAck(b, num, m, last.client, true)
}

// deliver is a method that carries a message to the client.
func (c *codec) deliver(ch *channel, m method, a args) protocols.Frame {
	c.last++
	f := protocols.Frame{ID: c.last, Oneway: true}
	if m == basicReturn {
		a.short()
		a.str()
		a.str()
		s := &c.side[protocols.ToClient]
		s.item[0] = protocols.Item{Op: "basic.return", Key: c.name(a.str())}
		f.Items = s.item[:]
		c.begins(protocols.ToClient, ch, f)
		return f
	}
	op, of := "basic.get-ok", consumer{}
	if m == basicDeliver {
		op = "basic.deliver"
		of = ch.consumers[string(a.str())]
	} else if x, found := ch.answered(m); found {
		of = consumer{x.queue, x.noAck}
		if ch.refused != nil && ch.refused.id == x.id { // the client hears of a failure
			c.begins(protocols.ToClient, ch, protocols.Frame{Raw: none})
			c.offWire(protocols.ToClient, ch)
			return protocols.Frame{Raw: none}
		}
	}
	tag := a.long()
	a.octet()
	exchange := c.name(a.str())
	f.Items = c.message(protocols.ToClient, op, c.name(a.str()), exchange, of.queue)
	x := c.begins(protocols.ToClient, ch, f)
	x.tag, x.noAck = tag, of.noAck
	return f
}
