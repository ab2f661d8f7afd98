package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNames holds the names of the codes against those that another client knows.
func TestNames(t *testing.T) {
	for code := int16(-1); code < 1000; code++ {
		known, _ := kerr.ErrorForCode(code).(*kerr.Error)
		if known == nil || known.Code != code {
			continue
		}
		name := known.Message
		if now, renamed := formerly[name]; renamed {
			name = now
		}
		if got := nameOf(code); got != name {
			t.Errorf("code %d is called %q here and %q there", code, got, known.Message)
		}
		if n, ok := number(name); !ok || n != code {
			t.Errorf("%s is %d here and %d there", name, n, code)
		}
	}
	for _, w := range wellKnown {
		if n, ok := number(w.name); !ok || n == 0 {
			t.Errorf("%q means %q, which is no error", w.part, w.name)
		}
	}
}

// TestAPINames: every API that has a schema is known by the name it has there.
func TestAPINames(t *testing.T) {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.RequestForKey(key) == nil {
			continue
		}
		got, want := apiName(key), kmsg.NameForKey(key)
		if !strings.EqualFold(got, want) && want != "AlterPartitionAssignments" { // Kafka says Reassignments
			t.Errorf("API %d is called %q here and %q there", key, got, want)
		}
	}
}
