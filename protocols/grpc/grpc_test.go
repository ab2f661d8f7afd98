package grpc

import (
	"strings"
	"testing"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestCaptures(t *testing.T) { protocoltest.Captures(t, Protocol, "testdata") }

func TestHostile(t *testing.T) { protocoltest.Hostile(t, Protocol, "testdata") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestCheck(t *testing.T) {
	details := func(s string) map[string]string { return map[string]string{"details": s} }
	for _, c := range []struct {
		reply  protocols.Reply
		status int    // completed
		code   string // completed
		reason string // part of the error
	}{
		{protocols.Reply{}, 14, "UNAVAILABLE", ""},
		{protocols.Reply{Status: 16}, 16, "UNAUTHENTICATED", ""},
		{protocols.Reply{Code: "5"}, 5, "NOT_FOUND", ""},
		{protocols.Reply{Code: "RESOURCE_EXHAUSTED"}, 8, "RESOURCE_EXHAUSTED", ""},
		{protocols.Reply{Code: "ResourceExhausted", Status: 8}, 8, "RESOURCE_EXHAUSTED", ""},
		{protocols.Reply{Code: "canceled"}, 1, "CANCELLED", ""},
		{protocols.Reply{Message: "disk full"}, 8, "RESOURCE_EXHAUSTED", ""},
		{protocols.Reply{Message: "Context deadline exceeded"}, 4, "DEADLINE_EXCEEDED", ""},
		{protocols.Reply{Message: "order 7 not found"}, 5, "NOT_FOUND", ""},
		{protocols.Reply{Message: "oops"}, 2, "UNKNOWN", ""},
		{protocols.Reply{Code: "REFUSED_STREAM"}, 0, "REFUSED_STREAM", ""},
		{protocols.Reply{Status: 8, Details: details("CAgSA2FiYw==")}, 8, "RESOURCE_EXHAUSTED", ""},
		{protocols.Reply{Status: 8, Details: details("CAgSA2FiYw")}, 8, "RESOURCE_EXHAUSTED", ""},
		{protocols.Reply{Status: 9, Details: details("CAgSA2FiYw")}, 0, "", "they say 8, but the status is 9"},
		{protocols.Reply{Status: 8, Details: details("{}")}, 0, "", "base64"},
		{protocols.Reply{Status: 8, Details: details("////")}, 0, "", "google.rpc.Status"},
		{protocols.Reply{Details: map[string]string{"hint": "x"}}, 0, "", "have no hint"},
		{protocols.Reply{Code: "REFUSED_STREAM", Details: details("CAgSA2FiYw")}, 0, "", "no details"},
		{protocols.Reply{Status: 17}, 0, "", "0 to 16"},
		{protocols.Reply{Code: "OK"}, 0, "", "no error"},
		{protocols.Reply{Code: "GONE"}, 0, "", "CANCELLED, UNKNOWN"},
		{protocols.Reply{Code: "INTERNAL", Status: 14}, 0, "", "both 14 and INTERNAL"},
		{protocols.Reply{Value: "x"}, 0, "", "no body"},
	} {
		c.reply.Error = true
		for range 2 { // a completed reply stays as it is
			err := Protocol.Check(&c.reply)
			if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%+v: %v", c.reply, err)
			}
			if c.reason == "" && (c.reply.Status != c.status || c.reply.Code != c.code || c.reply.Message == "") {
				t.Errorf("%+v: want status %d, code %q", c.reply, c.status, c.code)
			}
		}
	}
	if err := Protocol.Check(&protocols.Reply{}); err == nil || !strings.Contains(err.Error(), "error(…)") {
		t.Errorf("response(…): %v", err)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{"plain text!": "plain text!", "50% ü\n": "50%25 %C3%BC%0A", "": ""} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q and not %q", in, got, want)
		}
	}
}
