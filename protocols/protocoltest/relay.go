package protocoltest

import (
	"fmt"
	"slices"
	"strings"

	"faultbox/protocols"
)

// relay does with a codec what intercept/proxy does, one call at a time.
type relay struct {
	p     *protocols.Protocol
	codec protocols.Codec
	// decide is asked for the fate of each frame with items; nil: it passes.
	decide func(f *protocols.Frame) (after bool, fates []protocols.Fate)
	// saw is told each frame before it is forwarded, note "" or "untouched".
	saw func(d protocols.Dir, f *protocols.Frame, note string)

	in        [2][]byte // arrived, not consumed
	out       [2][]byte // heard by the receiver of each direction
	held      [2][]byte // of ours, until the message on the wire is complete
	mid       [2]bool   // the last frame had More
	copying   bool
	last      uint64
	exchanges map[uint64]*exchange
	open      []*exchange           // not multiplexed: those whose answers are to come, in order
	broken    error                 // the codec broke its contract
	streams   protocols.StreamCodec // codec, if it is one
}

type exchange struct {
	id       uint64
	withhold [2]bool
	ended    [2]bool
	after    []protocols.Fate // to apply to the first frame of the answer
	twice    []protocols.Fate // to apply once the message is complete
	twiceDir protocols.Dir    // of that message
	first    protocols.Frame  // of a request that is gathered
	gathered []byte
	ready    bool // the answer is ours
	back     []byte
}

func newRelay(p *protocols.Protocol) *relay {
	r := &relay{p: p, codec: p.New(), exchanges: map[uint64]*exchange{}}
	r.streams, _ = r.codec.(protocols.StreamCodec)
	return r
}

// feed hands b over in direction d, a window at a time.
func (r *relay) feed(d protocols.Dir, b []byte) {
	if r.p.Datagram {
		r.datagram(d, b)
		return
	}
	window := r.p.Window
	if window == 0 {
		window = protocols.DefaultWindow
	}
	for len(b) > 0 && r.broken == nil {
		if r.copying {
			r.out[d] = append(r.out[d], b...)
			return
		}
		n := min(len(b), window-len(r.in[d]))
		r.in[d] = append(r.in[d], b[:n]...)
		b = b[n:]
		r.drain(d, window)
	}
}

func (r *relay) drain(d protocols.Dir, window int) {
	for len(r.in[d]) > 0 && !r.copying && r.broken == nil {
		buf := r.in[d]
		f, n, err := r.codec.Decode(d, buf[:len(buf):len(buf)])
		switch {
		case err != nil:
			r.saw(d, &f, "error "+err.Error())
			r.copying = true
		case n < 0 || n > len(buf):
			r.broken = fmt.Errorf("consumed %d of %d bytes", n, len(buf))
			return
		case n == 0 && f.ID == 0:
			if len(buf) >= window {
				r.broken = fmt.Errorf("consumed nothing of a full window (%d bytes)", window)
			}
			return
		default:
			r.frame(d, &f, buf[:n:n])
			for i := range buf[:n] {
				buf[i] = 0xEE // frames are valid until the next call only
			}
			r.in[d] = buf[n:]
			r.copying = r.copying || f.Tunnel
		}
	}
	if r.copying {
		for d := range r.in {
			r.out[d] = append(r.out[d], r.in[d]...)
			r.in[d] = nil
		}
	}
}

// datagram hands over one datagram.
func (r *relay) datagram(d protocols.Dir, b []byte) {
	b = slices.Clip(slices.Clone(b))
	f, n, err := r.codec.Decode(d, b)
	switch {
	case err != nil:
		r.saw(d, &f, "error "+err.Error())
		r.out[d] = append(r.out[d], b...)
	case n != len(b):
		r.broken = fmt.Errorf("consumed %d bytes of a datagram of %d", n, len(b))
	default:
		r.frame(d, &f, b)
		for i := range b {
			b[i] = 0xEE
		}
	}
}

func (r *relay) frame(d protocols.Dir, f *protocols.Frame, raw []byte) {
	x := r.exchange(d, f)
	fates := r.fatesOf(d, f, x)
	note := ""
	switch {
	case fates != nil && r.p.Datagram && slices.ContainsFunc(fates, isTwice):
		r.forward(d, f, raw)
		r.forward(d, f, raw)
	case fates != nil && len(f.Items) > 0 && r.streams == nil && slices.ContainsFunc(fates, isTwice) && !f.End:
		x.twice, x.twiceDir, x.first = fates, d, *f
		x.first.Items = slices.Clone(f.Items)
		x.gathered = append(x.gathered, raw...)
	case fates != nil:
		note = r.apply(d, f, raw, fates, x)
	case x != nil && x.twice != nil && d == x.twiceDir:
		x.gathered = append(x.gathered, raw...)
		if f.End {
			fates, x.twice = x.twice, nil
			note = r.apply(d, &x.first, x.gathered, fates, x)
		}
	case x != nil && x.withhold[d]:
		r.out[d] = append(r.out[d], f.Raw...)
	default:
		r.forward(d, f, raw)
	}
	r.mid[d] = f.More
	r.saw(d, f, note)
	if f.Back != nil {
		r.held[d.Opposite()] = append(r.held[d.Opposite()], f.Back...)
	}
	r.finish(d, f, x)
}

// exchange returns the exchange of f, nil for none, and opens it if need be.
func (r *relay) exchange(d protocols.Dir, f *protocols.Frame) *exchange {
	x := r.exchanges[f.ID]
	if x != nil || f.ID == 0 && f.Items == nil {
		return x
	}
	x = &exchange{id: f.ID}
	if f.ID == 0 {
		return x
	}
	r.exchanges[f.ID] = x
	if d == protocols.ToServer {
		if f.ID <= r.last {
			r.broken = fmt.Errorf("exchange %d begins after exchange %d", f.ID, r.last)
		}
		r.last = f.ID
		if !f.Oneway {
			r.open = append(r.open, x)
		}
	}
	return x
}

// fatesOf returns what is to be applied to f now.
func (r *relay) fatesOf(d protocols.Dir, f *protocols.Frame, x *exchange) []protocols.Fate {
	if x != nil && d == protocols.ToClient && x.after != nil {
		fates := x.after
		x.after = nil
		return fates
	}
	if f.Items == nil || r.decide == nil {
		return nil
	}
	after, fates := r.decide(f)
	if !slices.ContainsFunc(fates, func(f protocols.Fate) bool { return f.Act != protocols.Pass }) {
		return nil
	}
	if after && d == protocols.ToServer {
		x.after = fates
		return nil
	}
	return fates
}

func isTwice(f protocols.Fate) bool { return f.Act == protocols.Twice }

func (r *relay) apply(d protocols.Dir, f *protocols.Frame, raw []byte, fates []protocols.Fate, x *exchange) (note string) {
	forward, back := r.codec.Apply(d, *f, raw, fates)
	if back == nil && len(forward) == len(raw) && (len(raw) == 0 || &forward[0] == &raw[0]) {
		r.forward(d, f, raw)
		return "untouched"
	}
	x.withhold[d] = true
	r.out[d] = append(r.out[d], forward...)
	switch {
	case d == protocols.ToServer && r.streams != nil && forward == nil && back != nil:
		r.held[d.Opposite()] = append(r.held[d.Opposite()], r.streams.Release(d.Opposite(), f.ID, back)...)
	case d == protocols.ToClient || r.p.Multiplexed || f.Oneway:
		r.held[d.Opposite()] = append(r.held[d.Opposite()], back...)
	case forward == nil || back != nil:
		x.ready, x.back = true, slices.Clone(back)
	}
	return ""
}

func (r *relay) forward(d protocols.Dir, f *protocols.Frame, raw []byte) {
	if f.Raw != nil {
		raw = f.Raw
	}
	r.out[d] = append(r.out[d], raw...)
}

// finish ends what f ends and puts on the wire what has become due.
func (r *relay) finish(d protocols.Dir, f *protocols.Frame, x *exchange) {
	if x != nil {
		x.ended[d] = x.ended[d] || f.End
		if i := slices.Index(r.open, x); i >= 0 && d == protocols.ToClient && !r.p.Multiplexed {
			for _, skipped := range r.open[:i] {
				delete(r.exchanges, skipped.id)
			}
			r.open = r.open[i:]
		}
		if x.ended[protocols.ToClient] && d == protocols.ToClient {
			r.open = slices.DeleteFunc(r.open, func(o *exchange) bool { return o == x })
		}
		if f.Oneway && f.End || x.ended[0] && x.ended[1] {
			delete(r.exchanges, x.id)
		}
	}
	for len(r.open) > 0 && r.open[0].ready && r.open[0].ended[protocols.ToServer] {
		r.held[protocols.ToClient] = append(r.held[protocols.ToClient], r.open[0].back...)
		delete(r.exchanges, r.open[0].id)
		r.open = r.open[1:]
	}
	for d := range r.held {
		if !r.mid[d] {
			r.out[d] = append(r.out[d], r.held[d]...)
			r.held[d] = nil
		}
	}
}

// describe returns the frame in the notation of = lines, "" if it says nothing.
func describe(f *protocols.Frame, note string) string {
	if s, ok := strings.CutPrefix(note, "error "); ok {
		return fmt.Sprintf("error %q", s)
	}
	var b strings.Builder
	for i := range f.Items {
		if i > 0 {
			b.WriteString(" |")
		}
		item(&b, &f.Items[i])
	}
	if f.Err != "" {
		fmt.Fprintf(&b, " err=%s", f.Err)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"end", f.End}, {"more", f.More && f.ID != 0}, {"oneway", f.Oneway}, {"starttls", f.StartTLS}, {"tunnel", f.Tunnel}, {"missed", f.Missed},
		{"raw", f.Raw != nil}, {"back", f.Back != nil}, {note, note != ""}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	if f.ID == 0 && b.Len() == 0 {
		return ""
	}
	return fmt.Sprint(f.ID) + b.String()
}

func item(b *strings.Builder, it *protocols.Item) {
	if it.Op != "" {
		b.WriteString(" " + it.Op)
	}
	if it.Key != "" {
		fmt.Fprintf(b, " key=%q", it.Key)
	}
	for i, k := range it.Keys {
		fmt.Fprintf(b, "%s%q", [2]string{",", " keys="}[b2i(i == 0)], k)
	}
	if it.Text != "" {
		fmt.Fprintf(b, " text=%q", it.Text)
	}
	for _, a := range it.Attrs {
		fmt.Fprintf(b, " %s=%q", a.Name, a.Value)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
