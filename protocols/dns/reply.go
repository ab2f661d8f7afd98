package dns

import (
	"golang.org/x/net/dns/dnsmessage"

	"faultbox/protocols"
)

const (
	payloadSize  = 1232 // that our answers offer to take, DNS Flag Day 2020
	optionEDE    = 15   // RFC 8914: a code, 0 for "other", and a text
	maxErrorText = 255
)

// reply writes the answer r to the query in raw, or in place of the answer in
// raw. It repeats the question as it came, letter case included.
func reply(raw []byte, r *protocols.Reply) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(raw)
	if err != nil {
		return raw
	}
	q, err := p.Question()
	if err != nil {
		return raw
	}
	out := dnsmessage.Header{
		ID: h.ID, Response: true, OpCode: h.OpCode, RecursionDesired: h.RecursionDesired, RecursionAvailable: true,
		CheckingDisabled: h.CheckingDisabled,
	}
	if r.Error {
		out.RCode, out.Truncated = rcode(r.Code), r.Code == truncated
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), out)
	b.EnableCompression()
	errs := []error{b.StartQuestions(), b.Question(q), b.StartAnswers()}
	if !r.Error {
		errs = append(errs, write(&b, q, r.Value))
	}
	errs = append(errs, b.StartAdditionals())
	if opt, ok := edns(&p, r); ok {
		errs = append(errs, b.OPTResource(opt.Header, *opt.Body.(*dnsmessage.OPTResource)))
	}
	for _, err := range errs {
		if err != nil {
			return raw
		}
	}
	msg, err := b.Finish()
	if err != nil {
		return raw
	}
	return msg
}

// write writes the addresses of the type that is asked for.
func write(b *dnsmessage.Builder, q dnsmessage.Question, value any) error {
	list, err := addresses(value)
	if err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
	for _, ip := range list {
		switch {
		case err != nil:
		case q.Type == dnsmessage.TypeA && ip.Is4():
			err = b.AResource(h, dnsmessage.AResource{A: ip.As4()})
		case q.Type == dnsmessage.TypeAAAA && ip.Is6():
			err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: ip.As16()})
		}
	}
	return err
}

// edns returns the OPT record of an answer to a message that has one.
func edns(p *dnsmessage.Parser, r *protocols.Reply) (opt dnsmessage.Resource, ok bool) {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return opt, false
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return opt, false
		}
		if h.Type != dnsmessage.TypeOPT {
			if p.SkipAdditional() != nil {
				return opt, false
			}
			continue
		}
		body := &dnsmessage.OPTResource{}
		if text := r.Message; r.Error && text != "" {
			text = text[:min(len(text), maxErrorText)]
			body.Options = []dnsmessage.Option{{Code: optionEDE, Data: append([]byte{0, 0}, text...)}}
		}
		opt.Body = body
		err = opt.Header.SetEDNS0(payloadSize, dnsmessage.RCodeSuccess, h.DNSSECAllowed())
		return opt, err == nil
	}
}
