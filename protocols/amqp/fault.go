package amqp

import (
	"encoding/binary"
	"strconv"

	"faultbox/protocols"
)

// Apply implements protocols.Codec. A method has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 || fates[0].Act == protocols.Answer && fates[0].Reply == nil {
		return raw, nil
	}
	s := strike{codec: c, num: uint16(f.Stream), id: f.ID, raw: raw, fate: &fates[0]}
	if len(raw) >= overhead+4 {
		s.m, s.a = method(binary.BigEndian.Uint32(raw[7:])), args(raw[11:])
	}
	s.ch = c.channel(s.num)
	switch {
	case d == protocols.ToServer && s.m == basicPublish:
		return s.publish(f)
	case d == protocols.ToServer:
		return s.call(f)
	case len(f.Items) > 0:
		return s.delivery(f)
	}
	return s.answer(f)
}

// strike is a fault on one method.
type strike struct {
	*codec
	num  uint16
	ch   *channel
	id   uint64
	m    method
	a    args
	raw  []byte
	fate *protocols.Fate
}

// publish acts on basic.publish, of which raw is the method frame, or all of it
// for Twice.
func (s *strike) publish(f protocols.Frame) (forward, back []byte) {
	ch := s.ch
	if s.fate.Act == protocols.Twice {
		if !f.Oneway {
			ch.shifted = true
			ch.received++
			ch.pubs = append(ch.pubs, publish{server: ch.received, extra: true})
		}
		return double(s.raw), nil
	}
	if s.fate.Act == protocols.Pass {
		return s.raw, nil
	}
	s.offWire(protocols.ToServer, ch)
	var tag uint64
	if n := len(ch.pubs); n > 0 && ch.pubs[n-1].id == s.id {
		tag = ch.pubs[n-1].client
		ch.pubs = ch.pubs[:n-1]
		ch.received--
		ch.shifted = true
	}
	r := s.fate.Reply
	switch {
	case s.fate.Act == protocols.Lose && tag == 0:
		return nil, nil
	case s.fate.Act == protocols.Lose:
		return nil, appendAck(nil, s.num, basicAck, tag, false)
	case r.Status == 0 && tag != 0:
		return nil, appendAck(nil, s.num, basicNack, tag, false)
	case r.Code == nackCode: // nobody is told
		return nil, nil
	}
	s.a.take(2)
	client, server := s.close(s.m, string(s.a.str()))
	return server, client
}

// call acts on any other method of the client.
func (s *strike) call(f protocols.Frame) (forward, back []byte) {
	k := calls[s.m]
	ch := s.ch
	switch s.fate.Act {
	case protocols.Pass:
		return s.raw, nil
	case protocols.Twice:
		if key, _ := k.read(s.a); !k.twice || s.m == queueDeclare && len(key) == 0 {
			return s.raw, nil
		}
		if !f.Oneway {
			ch.calls = append(ch.calls, call{of: s.m, reply: k.reply, extra: true})
		}
		return double(s.raw), nil
	}
	if n := len(ch.calls); n > 0 && ch.calls[n-1].id == s.id {
		ch.calls = ch.calls[:n-1]
	}
	if s.m == confirmSelect && ch.sent == 0 {
		ch.confirm = false
	}
	if s.fate.Act == protocols.Lose {
		if f.Oneway {
			return nil, nil
		}
		s.fate.Reply = &protocols.Reply{Close: true} // or its sender would wait for ever
		return nil, none
	}
	key, _ := k.read(s.a)
	client, server := s.close(s.m, string(key))
	if r := ch.refused; s.m == channelOpen && r != nil { // the server knows of no channel
		ch.refused = nil
		return nil, r.say
	}
	return server, client
}

// delivery acts on a message for the client, of which raw is the method frame,
// or all of it for Twice.
func (s *strike) delivery(f protocols.Frame) (forward, back []byte) {
	x := &s.ch.content[protocols.ToClient]
	if s.fate.Act == protocols.Twice {
		switch s.m {
		case basicReturn:
			return double(s.raw), nil
		case basicDeliver:
			return s.redeliver(), nil
		}
		return s.raw, nil
	}
	if s.fate.Act == protocols.Pass {
		return s.raw, nil
	}
	s.offWire(protocols.ToClient, s.ch)
	if s.fate.Act == protocols.Lose {
		if s.m != basicReturn && !x.noAck {
			back = appendAck(nil, s.num, basicAck, x.tag, false)
		}
		if s.m == basicGetOk {
			forward = appendMethod(nil, s.num, basicGetEmpty, 0)
		}
		return forward, back
	}
	return s.close(0, f.Items[0].Key)
}

// redeliver delivers a message and, marked so, a second time. Its content has
// just ended.
func (s *strike) redeliver() []byte {
	at := overhead + 3 // behind the consumer's tag
	at += 1 + int(s.raw[at])
	if at+8 >= len(s.raw) {
		return s.raw
	}
	b := double(s.raw)
	second := b[len(s.raw):]
	tag := binary.BigEndian.Uint64(second[at:])
	second[at+8] |= 1
	if !s.ch.content[protocols.ToClient].noAck {
		if s.ch.doubled == nil {
			s.ch.doubled = make(map[uint64]bool)
		}
		s.ch.doubled[tag] = false
	}
	return b
}

// answer acts on what the server answers. raw is empty if another message
// implies it.
func (s *strike) answer(f protocols.Frame) (forward, back []byte) {
	switch {
	case s.m == channelClose, s.m == connectionClose, len(s.raw) == 0 && f.Err != "" && f.Err != nackCode:
		return s.raw, nil // it has failed already
	case s.fate.Act == protocols.Lose:
		return nil, nil
	case s.fate.Act != protocols.Answer:
		return s.raw, nil
	}
	i := 0
	for i < len(s.covered) && (s.covered[i].id != s.id || s.covered[i].extra) {
		i++
	}
	if i == len(s.covered) {
		return s.close(s.reply.of, s.reply.queue)
	}
	m := basicAck
	if f.Err == nackCode {
		m = basicNack
	}
	p := s.covered[i]
	if i > 0 { // those confirmed with it come first, in order
		forward = s.recount(nil, s.num, m, i-1)
	}
	s.told, s.ch.shifted = p.client, true
	if r := s.fate.Reply; r.Status == 0 || r.Code == nackCode {
		return appendAck(forward, s.num, basicNack, p.client, false), nil
	}
	client, server := s.close(basicPublish, p.exchange)
	if s.ch.refused != nil {
		s.ch.refused.mute = true
	}
	return append(forward, client...), server
}

// close closes the connection, of which the client is told at once, or the
// channel: at the server, and when that is done to the client. of is the method
// to blame and key what it was about.
func (s *strike) close(of method, key string) (client, server []byte) {
	code := codeOf(s.fate.Reply)
	text := replyText(code, s.fate.Reply, of, key, s.vhost)
	if code.hard || s.num == 0 {
		r := *s.fate.Reply
		r.Close = true
		s.fate.Reply = &r
		return appendClose(nil, 0, connectionClose, code.number, text, of), nil
	}
	if s.ch.refused != nil { // it is about to be closed
		return nil, nil
	}
	s.ch.refused = &refusal{id: s.id, code: strconv.Itoa(code.number), say: appendClose(nil, s.num, channelClose, code.number, text, of)}
	s.ch.deaf = true
	return nil, appendClose(nil, s.num, channelClose, 200, "", 0)
}

func double(b []byte) []byte { return append(append(make([]byte, 0, 2*len(b)), b...), b...) }
