//go:build linux

package syscalls

import (
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/protocols"
)

// supervisor answers the calls of one service. One thread receives and decides
// (more are slower: the kernel hands the processor straight to it); what takes
// time goes on beside it.
type supervisor struct {
	name    string
	handler intercept.Scout
	known   []intercept.Peer
	cgroup  string
	outputs []string // files that stand for pipes to whoever reads what the service says
	l       listener

	connections intercept.Connections // nil: every connection goes where it means to
	peersMatter bool                  // rules may be about the other ends of sockets

	arena   *arena
	poll    bool // the kernel's receive cannot be ended: poll before it
	fragile bool // signal handlers interrupt calls that wait here (before Linux 5.19): see again.go
	bound   bool // the processes gave up the privileges of setuid programs

	begun   func() bool // reports whether the program executes; nil once it does
	passing atomic.Bool // closed: let everything happen
	tid     atomic.Int64
	done    chan struct{} // the thread has ended
	first   atomic.Int64  // the service's first process
	reaper  atomic.Int64  // its parent, if that is not this process: it adopts the service's orphans
	journal journal

	mu      sync.Mutex
	pending map[*verdict]struct{} // delayed
	peers   map[string]netAddr    // by socket: whom it was connected to
	open    map[uint32]*verdict   // by thread: decided, and not answered yet (before Linux 5.19)
	busy    int                   // verdicts that are carried out beside the thread
	idle    sync.Cond             // busy is 0; its lock is mu

	// Of the thread, between two calls.
	ev         intercept.Event
	item       protocols.Item
	attrs      [8]protocols.Attr
	other      protocols.Item // what a call that copies reads
	otherAttrs [8]protocols.Attr
	look       looker
	explained  string               // what explain noted last
	folders    []string             // that rules name for this call
	unlinked   map[string]time.Time // of those, which are no links, and until when that is believed
}

// verdict is a decision that waits to be carried out.
type verdict struct {
	n     notification
	ev    intercept.Event
	since time.Time
	slot  int
	timer *time.Timer

	// Before Linux 5.19, see again.go; under the supervisor's lock.
	again   uint64   // the notification of the call made again; 0: it was not
	unheard *unheard // its answer
}

// run serves until the last process with the filter is gone.
func (s *supervisor) run() {
	runtime.LockOSThread() // never unlocked: the thread ends with us
	defer close(s.done)
	s.tid.Store(int64(unix.Gettid()))
	head := s.arena.head()
	for {
		if s.poll {
			s.l.await()
		}
		err := s.l.receive(head)
		switch {
		case err == nil:
			s.handle(head)
			head.id = 0
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT):
			if s.l.deserted() {
				return
			}
		default:
			return
		}
	}
}

// handle decides on a call and answers it, or sees to it that it is answered.
func (s *supervisor) handle(n *notification) {
	name := s.translate(n)
	if s.begun != nil && !s.hasBegun() {
		if s.first.CompareAndSwap(0, int64(n.tid)) {
			s.findReaper()
		}
		if name == "execve" { // the shim becomes the program
			s.explain(n, name)
		}
		s.l.pass(n.id)
		return
	}
	if s.passing.Load() {
		s.l.pass(n.id)
		return
	}
	switch name {
	case "execve", "execveat", "seccomp":
		s.explain(n, name)
	case "connect":
		if s.peersMatter {
			s.look.tid = n.tid
			s.remember(n)
		}
	}
	ev := &s.ev
	*ev = intercept.Event{Kind: intercept.Syscall, From: s.name, To: s.name, Proto: intercept.Syscalls.Name, Op: name}
	needs := s.handler.Needs(ev)
	if needs == 0 {
		s.happen(n, name)
		return
	}
	start := time.Now()
	s.inspect(n, name, needs)
	if needs > intercept.NeedsCall && !s.l.valid(n.id) {
		return // whoever called is dead, and what was read may be another's
	}
	s.follow(n, name)
	if s.repeated(n) {
		return
	}
	ev.Decision = s.handler.Decide(ev, &s.item)
	if !ev.Decision.Fires() && !s.fragile {
		s.settle(n, name, ev.Key)
		s.happen(n, name)
		ev.Took = time.Since(start)
		s.handler.Done(*ev)
		return
	}
	for _, r := range ev.Decision.Rules {
		ev.Rules = append(ev.Rules, r.Name)
	}
	v := &verdict{n: *n, ev: *ev, since: start, slot: -1}
	s.begin(v)
	if delay := ev.Decision.DelayBefore + ev.Decision.DelayAfter; delay > 0 {
		s.postpone(v, delay)
		return
	}
	s.act(v)
}

// hasBegun asks whether the program executes by now.
func (s *supervisor) hasBegun() bool {
	if !s.begun() {
		return false
	}
	s.begun = nil
	return true
}

// translate returns the name of a call and turns the arguments of socketcall(2)
// into those of the call behind it.
func (s *supervisor) translate(n *notification) string {
	a := machine()
	if n.arch != a.audit {
		if a = compat(); a == nil || n.arch != a.audit {
			return "call " + strconv.Itoa(int(n.nr))
		}
	}
	name := a.call(int(n.nr))
	if name != "socketcall" {
		return name
	}
	which := n.args[0]
	if which == 0 || which >= uint64(len(socketcalls)) {
		return name
	}
	var words [6]uint32
	if !s.look.words(n.tid, n.args[1], words[:]) {
		return name
	}
	for i, w := range words {
		n.args[i] = uint64(w)
	}
	return socketcalls[which]
}

// postpone carries a verdict out later.
func (s *supervisor) postpone(v *verdict, delay time.Duration) {
	v.slot = s.arena.put(v.n.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[v] = struct{}{}
	v.timer = time.AfterFunc(delay, func() {
		if s.take(v) {
			s.act(v)
		}
	})
}

// beside carries a verdict out on a goroutine of its own.
func (s *supervisor) beside(v *verdict, f func()) {
	if v.slot < 0 {
		v.slot = s.arena.put(v.n.id)
	}
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
	go func() {
		f()
		s.mu.Lock()
		if s.busy--; s.busy == 0 {
			s.idle.Broadcast()
		}
		s.mu.Unlock()
	}()
}

// take removes a postponed verdict; false: somebody else has.
func (s *supervisor) take(v *verdict) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.pending[v]
	delete(s.pending, v)
	return ok
}

// close lets everything happen from now on: what is delayed goes on at once,
// and what is decided is not carried out. It returns when the thread has
// ended, or soon if processes live that still need it: then it ends with them.
func (s *supervisor) close() {
	s.passing.Store(true)
	s.release(func(v *verdict) { s.conclude(v, response{flags: proceed}, intercept.Untouched) })
	s.mu.Lock()
	for s.busy > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.giveUp()
	s.journal.close()
	if s.await(20 * time.Millisecond) {
		return
	}
	go s.await(0)
}

// release ends every delay and has end conclude the verdict.
func (s *supervisor) release(end func(*verdict)) {
	s.mu.Lock()
	pending := s.pending
	s.pending = make(map[*verdict]struct{})
	s.mu.Unlock()
	for v := range pending {
		v.timer.Stop()
		end(v)
	}
}

// await waits for the thread to end, for limit at most if there is one. On
// kernels that do not wake it when the last process is gone, it does.
func (s *supervisor) await(limit time.Duration) bool {
	for wait, began := time.Millisecond, time.Now(); ; wait = min(2*wait, time.Second) {
		if s.l.deserted() {
			unix.Tgkill(unix.Getpid(), int(s.tid.Load()), unix.SIGURG)
		}
		select {
		case <-s.done:
			unix.Close(int(s.l))
			s.arena.close()
			return true
		case <-time.After(wait):
			if limit > 0 && time.Since(began) > limit {
				return false
			}
		}
	}
}
