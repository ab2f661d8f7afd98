package amqp

import "faultbox/protocols"

// client is a method that the client sends.
func (c *codec) client(ch *channel, num uint16, m method, a args) protocols.Frame {
	switch m {
	case basicPublish:
		return c.published(ch, a)
	case channelCloseOk:
		c.forget(num, ch)
		return protocols.Frame{}
	case basicAck, basicNack, basicReject:
		if len(ch.doubled) > 0 && ch.again(m, a) {
			return protocols.Frame{Raw: none}
		}
	case connectionOpen:
		vhost := a
		c.vhost = string(vhost.str())
	}
	k, known := calls[m]
	if !known {
		return closing(m)
	}
	key, wanted := k.read(a)
	c.last++
	f := protocols.Frame{ID: c.last, End: true, Oneway: !wanted || ch.closed}
	s := &c.side[protocols.ToServer]
	s.item[0] = protocols.Item{Op: k.name, Key: c.name(key)}
	f.Items = s.item[:]
	x := call{id: f.ID, of: m, reply: k.reply, queue: s.item[0].Key}
	switch m {
	case channelOpen:
		ch.closed = false
	case confirmSelect:
		if !ch.confirm {
			ch.confirm, ch.sent, ch.received = true, 0, 0
		}
	case basicConsume:
		c.consume(ch, &x, a, wanted)
	case basicGet:
		a.take(2)
		a.str()
		x.noAck = a.octet()&1 != 0
	case queueDeclare:
		if x.queue != "" {
			ch.queue = x.queue
		}
	}
	if x.queue == "" {
		x.queue = ch.queue
	}
	if !f.Oneway {
		ch.calls = append(ch.calls, x)
	}
	return f
}

// consume reads basic.consume, of which nothing else tells when no reply is
// wanted.
func (c *codec) consume(ch *channel, x *call, a args, wanted bool) {
	a.take(2)
	a.str()
	tag := string(a.str())
	x.noAck = a.octet()&2 != 0
	if !wanted {
		ch.consumes(tag, *x)
	}
}

func (ch *channel) consumes(tag string, x call) {
	if ch.consumers == nil {
		ch.consumers = make(map[string]consumer)
	}
	if x.queue == "" {
		x.queue = ch.queue
	}
	ch.consumers[tag] = consumer{x.queue, x.noAck}
}

// published is basic.publish.
func (c *codec) published(ch *channel, a args) protocols.Frame {
	a.take(2)
	exchange := c.name(a.str())
	topic := c.name(a.str())
	queue := ""
	if exchange == "" {
		queue = topic
	}
	c.last++
	f := protocols.Frame{ID: c.last, Oneway: !ch.confirm || ch.closed, Items: c.message(protocols.ToServer, "basic.publish", topic, exchange, queue)}
	if !f.Oneway {
		ch.sent++
		ch.received++
		ch.pubs = append(ch.pubs, publish{id: f.ID, client: ch.sent, server: ch.received, exchange: exchange})
	}
	c.begins(protocols.ToServer, ch, f)
	return f
}

// again reports whether the client acknowledges what it has acknowledged
// before, because it got it twice.
func (ch *channel) again(m method, a args) bool {
	tag := a.long()
	if many := a.octet()&1 != 0; many && m != basicReject {
		for t := range ch.doubled {
			if t <= tag || tag == 0 {
				ch.doubled[t] = true
			}
		}
		return false
	}
	done, doubled := ch.doubled[tag]
	if !doubled {
		return false
	}
	if done {
		delete(ch.doubled, tag)
	} else {
		ch.doubled[tag] = true
	}
	return done
}

// forget lets go of a channel that is closed.
func (c *codec) forget(num uint16, ch *channel) {
	for d := range ch.content {
		c.ends(protocols.Dir(d), ch)
	}
	delete(c.channels, num)
}
