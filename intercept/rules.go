package intercept

import (
	"sync"
	"sync/atomic"
	"time"

	"faultbox/protocols"
)

// Rules decides. It is a function of its seed and of the order in which
// matching events reach each rule: the same seed and order, the same faults,
// whatever other rules there are. It is safe for concurrent use and takes no
// lock while deciding.
type Rules struct {
	seed    uint64
	mu      sync.Mutex                          // held while the list changes
	list    atomic.Pointer[[]*ActiveRule]       // armed, in the order of arming
	folders atomic.Pointer[map[string][]string] // of the armed rules about system calls, by service
	tally   []*ActiveRule                       // every rule ever armed
	armed   int                                 // how often rules were
}

// ActiveRule is an armed rule with its counters.
type ActiveRule struct {
	Rule
	Batch   int // rules that were armed together have the same
	stream  uint64
	matched atomic.Uint64
	fired   atomic.Uint64
	idle    atomic.Uint64 // fired, but there was nothing to act on
	outdone atomic.Pointer[ActiveRule]
}

// Matched returns how many events matched; Fired on how many the fault struck;
// Acted on how many of those it changed anything.
func (a *ActiveRule) Matched() uint64 { return a.matched.Load() }
func (a *ActiveRule) Fired() uint64   { return a.fired.Load() }
func (a *ActiveRule) Acted() uint64   { return a.fired.Load() - a.idle.Load() }

// OutdoneBy returns the rule that ended an exchange first which this one was to
// end too; nil if that never happened.
func (a *ActiveRule) OutdoneBy() *ActiveRule { return a.outdone.Load() }

// Seed is a number that belongs to the rule in this run.
func (a *ActiveRule) Seed() uint64 { return a.stream }

// Struck counts n events that a rule acted on without being asked: packets, or
// the one thing that happens to a service.
func (a *ActiveRule) Struck(n uint64) {
	a.matched.Add(n)
	a.fired.Add(n)
}

// NewRules returns an empty set whose random draws come from seed.
func NewRules(seed uint64) *Rules {
	r := &Rules{seed: seed}
	r.store(nil)
	return r
}

// Arm adds rules behind those already armed and returns the function that
// takes them off again.
func (r *Rules) Arm(rules ...Rule) (disarm func()) {
	_, disarm = r.ArmActive(rules...)
	return disarm
}

// ArmActive is Arm, and returns the armed rules.
func (r *Rules) ArmActive(rules ...Rule) (active []*ActiveRule, disarm func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	added := make(map[*ActiveRule]bool, len(rules))
	next := append([]*ActiveRule(nil), *r.list.Load()...)
	r.armed++
	for _, rule := range rules {
		a := &ActiveRule{Rule: rule, Batch: r.armed, stream: mix(r.seed, uint64(len(r.tally))+1)}
		added[a] = true
		active = append(active, a)
		next = append(next, a)
		r.tally = append(r.tally, a)
	}
	r.store(next)
	return active, sync.OnceFunc(func() { r.disarm(added) })
}

func (r *Rules) disarm(gone map[*ActiveRule]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next []*ActiveRule
	for _, a := range *r.list.Load() {
		if !gone[a] {
			next = append(next, a)
		}
	}
	r.store(next)
}

func (r *Rules) store(list []*ActiveRule) {
	folders := foldersOf(list)
	r.folders.Store(&folders)
	r.list.Store(&list)
}

// Tally returns every rule that was ever armed, in the order of arming.
func (r *Rules) Tally() []*ActiveRule {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*ActiveRule(nil), r.tally...)
}

// Ended takes back the counts of the rules that struck an event in vain.
func (r *Rules) Ended(ev *Event) {
	for _, a := range ev.Decision.Rules {
		if ev.InVain(a) {
			a.idle.Add(1)
		}
	}
}

// Decide applies the one rule of composition: every matching delay adds up,
// then the first matching fault that ends the exchange decides.
func (r *Rules) Decide(ev *Event, item *protocols.Item) Decision {
	var d Decision
	var ender *ActiveRule
	for _, a := range *r.list.Load() {
		if !a.concerns(ev) || !a.Match.Matches(item) {
			continue
		}
		ends := a.Fault.Do != Pass
		if ends && d.Fault.Do != Pass {
			a.matched.Add(1)
			a.outdone.CompareAndSwap(nil, ender)
			continue // an earlier rule decides; this one does not strike
		}
		jitter, ok := a.strike()
		if !ok {
			continue
		}
		d.Rules = append(d.Rules, a)
		delay := a.Fault.Delay + jitter
		if a.Fault.When == After {
			d.DelayAfter += delay
		} else {
			d.DelayBefore += delay
		}
		if ends {
			d.Fault, ender = a.Fault, a
		}
	}
	return d
}

func (a *ActiveRule) concerns(ev *Event) bool {
	return a.To == ev.To && a.Proto == ev.Proto &&
		(a.From == "" || a.From == ev.From) &&
		(a.Interface == "" || a.Interface == ev.Interface)
}

// strike counts a match and says whether the rule fires on it.
func (a *ActiveRule) strike() (jitter time.Duration, ok bool) {
	n := a.matched.Add(1)
	if !a.Trigger.fires(n, unit(mix(a.stream, 2*n))) {
		return 0, false
	}
	if fired := a.fired.Add(1); a.Trigger.Times > 0 && fired > uint64(a.Trigger.Times) {
		a.fired.Add(^uint64(0))
		return 0, false
	}
	if a.Fault.Jitter > 0 {
		jitter = time.Duration(unit(mix(a.stream, 2*n+1)) * float64(a.Fault.Jitter))
	}
	return jitter, true
}

// mix is splitmix64's finaliser over two words: a stream of numbers that can
// be entered at any place.
func mix(a, b uint64) uint64 {
	z := a + b*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit maps a word to [0,1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }
