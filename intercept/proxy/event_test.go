package proxy

import (
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

// TestOutcomeOfOne: of a request that asks for several things a fault on one may
// come to nothing, as the codec says by its fate.
func TestOutcomeOfOne(t *testing.T) {
	lose := &intercept.Decision{Fault: intercept.Fault{Do: intercept.Lose}}
	late := &intercept.Decision{Fault: intercept.Fault{Do: intercept.Answer, When: intercept.After}}
	x := &exchange{items: 3, plan: &plan{fates: [2][]protocols.Fate{
		intercept.Before: {{Act: protocols.Lose}, {Act: protocols.Pass}, {Act: protocols.Pass}},
		intercept.After:  {{}, {}, {Act: protocols.Answer}},
	}}}
	for i, c := range []struct {
		d    *intercept.Decision
		want intercept.Outcome
	}{{lose, intercept.Dropped}, {lose, intercept.Untouched}, {late, intercept.Replaced}} {
		if got := x.outcome(i, c.d); got != c.want {
			t.Errorf("item %d: %q and not %q", i, got, c.want)
		}
	}
}

// withdrawn is a codec that counts the requests that are not forwarded.
type withdrawn struct {
	protocols.Codec
	n *int
}

func (w withdrawn) Withdraw(protocols.Frame) { *w.n++ }

// TestWithdraw: the codec is told of a request in whose stead the connection
// ends, and not of one whose answer alone is lost.
func TestWithdraw(t *testing.T) {
	for when, want := range map[intercept.When]int{intercept.Before: 1, intercept.After: 0} {
		both(t, func(t *testing.T, p *protocols.Protocol) {
			n, own := 0, *p
			own.New = func() protocols.Codec { return withdrawn{p.New(), &n} }
			b := newBed(t, &own, answer, on("set", intercept.Fault{Do: intercept.Reset, When: when}))
			b.say("1 set a")
			b.expectEnd("", true)
			b.finish("set a reset r0")
			if n != want {
				t.Errorf("%v: told of %d and not %d", when, n, want)
			}
		})
	}
}
