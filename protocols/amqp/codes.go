package amqp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// code is a reply code: its number and name in the specification, whether it
// closes the connection, and what messages mean it, in lower case.
type code struct {
	number int
	name   string
	hard   bool
	means  []string
	// nack: a publish with confirms on hears basic.nack for it, unless code= names it.
	nack bool
}

var codes = []code{
	{311, "CONTENT_TOO_LARGE", false, []string{"content_too_large"}, false},
	{313, "NO_CONSUMERS", false, []string{"no_consumers"}, false},
	{403, "ACCESS_REFUSED", false, []string{"access_refused", "access refused", "permission", "login was refused"}, false},
	{404, "NOT_FOUND", false, []string{"not_found", "not found", "no exchange", "no queue"}, false},
	{405, "RESOURCE_LOCKED", false, []string{"resource_locked", "exclusive", "locked queue"}, false},
	{320, "CONNECTION_FORCED", true, []string{"connection_forced", "shutdown", "shutting down"}, false},
	{402, "INVALID_PATH", true, []string{"invalid_path"}, false},
	{501, "FRAME_ERROR", true, []string{"frame_error"}, false},
	{502, "SYNTAX_ERROR", true, []string{"syntax_error"}, false},
	{503, "COMMAND_INVALID", true, []string{"command_invalid"}, false},
	{504, "CHANNEL_ERROR", true, []string{"channel_error"}, false},
	{505, "UNEXPECTED_FRAME", true, []string{"unexpected_frame"}, false},
	{530, "NOT_ALLOWED", true, []string{"not_allowed"}, false},
	{540, "NOT_IMPLEMENTED", true, []string{"not_implemented"}, false},
	{506, "RESOURCE_ERROR", true, []string{"resource_error", "disk full", "no space", "memory alarm", "disk alarm"}, true},
	{541, "INTERNAL_ERROR", true, []string{"internal_error", "internal error"}, true},
	{406, "PRECONDITION_FAILED", false, []string{"precondition", "inequivalent", "unknown delivery tag", "larger than"}, false},
}

// nackCode is what basic.nack is called here: it carries no code.
const nackCode = "NACK"

// check validates and completes a reply: see Protocol.Check. Status is the reply
// code if a publish with confirms on hears it too, and not basic.nack.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("amqp has no response(…): publish what a consumer is to get")
	case len(r.Details) > 0:
		return errors.New("amqp errors have no details: put the text into message=")
	case len(r.Headers) > 0:
		return errors.New("amqp errors have no headers: put the text into message=")
	case r.Status != 0 && r.Code != "":
		return errors.New("give code= or status=, not both")
	case r.Status != 0:
		r.Code = strconv.Itoa(r.Status)
	}
	if r.Code == "" {
		infer(r)
		return nil
	}
	name := strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(r.Code))
	if name == nackCode {
		r.Code = nackCode
		return nil
	}
	for _, c := range codes {
		if name == c.name || name == strconv.Itoa(c.number) {
			r.Code, r.Status = strconv.Itoa(c.number), c.number
			return nil
		}
	}
	if name == "312" || name == "NO_ROUTE" {
		return errors.New("code 312 (NO_ROUTE): is no error of a channel; unbind the queue to have messages returned")
	}
	var known []string
	for _, c := range codes {
		known = append(known, fmt.Sprintf("%d %s", c.number, c.name))
	}
	return fmt.Errorf("code %q: must be NACK (a negative confirm) or one of %s", r.Code, strings.Join(known, ", "))
}

// infer finds the code that a message means: 406 if it is none of those known,
// and basic.nack where there are confirms.
func infer(r *protocols.Reply) {
	text := strings.ToLower(r.Message)
	for _, c := range codes {
		for _, part := range c.means {
			if strings.Contains(text, part) {
				r.Code = strconv.Itoa(c.number)
				if !c.nack {
					r.Status = c.number
				}
				return
			}
		}
	}
	r.Code = "406"
}

// codeOf returns the reply code of r.
func codeOf(r *protocols.Reply) code {
	n, _ := strconv.Atoi(r.Code)
	for _, c := range codes {
		if c.number == n {
			return c
		}
	}
	return codes[len(codes)-1]
}

// replyText is what RabbitMQ writes: the code's name and a text. What the
// method was about completes it when there is no message.
func replyText(c code, r *protocols.Reply, m method, key, vhost string) string {
	text := r.Message
	thing := "queue"
	if m>>16 == exchangeDeclare>>16 || m == basicPublish {
		thing = "exchange"
	}
	if text == "" {
		text = "injected fault"
		switch c.number {
		case 404:
			text = fmt.Sprintf("no %s '%s' in vhost '%s'", thing, key, vhost)
		case 403:
			text = fmt.Sprintf("access to %s '%s' in vhost '%s' refused", thing, key, vhost)
		case 405:
			text = fmt.Sprintf("cannot obtain exclusive access to locked %s '%s' in vhost '%s'", thing, key, vhost)
		case 320:
			text = "broker forced connection closure with reason 'shutdown'"
		}
	}
	if !strings.HasPrefix(text, c.name) {
		text = c.name + " - " + text
	}
	return text[:min(len(text), 255)]
}
