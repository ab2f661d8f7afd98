package runtime

import (
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

// An exchange is judged alike whether it has ended by then or not.
func TestAnswerCode(t *testing.T) {
	for _, c := range []struct {
		name  string
		event intercept.Event
		reply *protocols.Reply
		want  string
	}{
		{"ended", intercept.Event{Outcome: intercept.Replaced, Err: "418"}, &protocols.Reply{Status: 418}, "418"},
		{"a response, not yet ended", intercept.Event{Outcome: intercept.Pending}, &protocols.Reply{Status: 418}, "418"},
		{"a success, not yet ended", intercept.Event{Outcome: intercept.Pending}, &protocols.Reply{Status: 200}, ""},
		{"an error, not yet ended", intercept.Event{Outcome: intercept.Pending}, &protocols.Reply{Error: true, Code: "53100"}, "53100"},
		{"an error with a status, not yet ended", intercept.Event{Outcome: intercept.Pending}, &protocols.Reply{Error: true, Status: 14}, "14"},
		{"no reply", intercept.Event{Outcome: intercept.Pending}, nil, ""},
	} {
		if got := answerCode(&c.event, c.reply); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
