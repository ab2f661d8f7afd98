package amqp

import "faultbox/protocols"

// channel is what is known of one channel; of channel 0, which is the
// connection itself, its calls alone.
type channel struct {
	calls []call // that await a reply, in order

	confirm        bool      // confirms are on
	sent, received uint64    // publishes since then: by the client, by the server
	pubs           []publish // not confirmed, in order
	shifted        bool      // a publish was withheld, or done twice

	content   [2]content // that is on its way, by direction
	consumers map[string]consumer
	queue     string          // the one declared last, which an empty name means
	doubled   map[uint64]bool // tags that were delivered twice: has the client answered
	closed    bool            // by the server

	refused *refusal // a fault closes the channel, the server's close-ok is to come
	deaf    bool     // what the client says is for nobody, up to its close-ok
}

// refusal is the end of a channel that a fault closes. The server's channel is
// closed first, for only then can the client open it again.
type refusal struct {
	id   uint64 // the exchange that it is the answer to
	code string
	say  []byte // what the client then hears
	// mute: it is the answer to a publish, so no later confirm may cover that.
	mute bool
}

// call is a method that awaits a reply.
type call struct {
	id    uint64
	of    method
	reply method
	extra bool // the second of two, its reply is for nobody
	queue string
	noAck bool
}

// publish awaits a confirm. Its tag is what it is counted as at each side.
type publish struct {
	id, client, server uint64
	extra              bool // the second of two
	exchange           string
}

// consumer is what basic.consume has asked for.
type consumer struct {
	queue string
	noAck bool
}

// content is what follows a method that carries a message.
type content struct {
	frame protocols.Frame // what its frames have in common
	body  bool            // its header has come
	rest  uint64          // bytes of its body that are to come
	on    bool            // there is one
	wire  bool            // its receiver has got the beginning
	tag   uint64          // of a delivery
	noAck bool
}

// outstanding returns the exchanges that await something, except one.
func (ch *channel) outstanding(except uint64) (ids []uint64) {
	for _, x := range ch.calls {
		if x.id != except && x.id != 0 {
			ids = append(ids, x.id)
		}
	}
	for _, p := range ch.pubs {
		if p.id != except && p.id != 0 {
			ids = append(ids, p.id)
		}
	}
	return ids
}

// answered removes and returns the call that m replies to.
func (ch *channel) answered(m method) (x call, found bool) {
	for i := range ch.calls {
		x = ch.calls[i]
		switch {
		case x.reply == m, m == basicGetEmpty && x.reply == basicGetOk, m == connectionSecure && x.reply == connectionTune:
			ch.calls = append(ch.calls[:i], ch.calls[i+1:]...)
			return x, true
		}
	}
	return call{}, false
}

// confirmed removes the publishes that the server has confirmed and appends
// them to list.
func (ch *channel) confirmed(list []publish, tag uint64, many bool) []publish {
	if many {
		n := 0
		for n < len(ch.pubs) && (tag == 0 || ch.pubs[n].server <= tag) {
			n++
		}
		list = append(list, ch.pubs[:n]...)
		ch.drop(0, n)
		return list
	}
	for i := range ch.pubs {
		if ch.pubs[i].server == tag {
			list = append(list, ch.pubs[i])
			ch.drop(i, i+1)
			break
		}
	}
	return list
}

// drop removes pubs[i:j].
func (ch *channel) drop(i, j int) {
	if i == 0 && j < len(ch.pubs)/2 { // too many to move
		ch.pubs = ch.pubs[j:]
		return
	}
	ch.pubs = append(ch.pubs[:i], ch.pubs[j:]...)
}
