package kafka

import (
	"slices"
	"sort"
)

// A broker takes the batches of an idempotent producer in the order of their
// sequence numbers and refuses one that leaves a gap. So, after a fault has left
// records out or doubled them, later numbers are moved to where they belong.

// sequenceMask: sequence numbers go from 0 to 2^31-1 and then begin anew.
const sequenceMask = 1<<31 - 1

// maxPoints is how many points a sequence keeps one by one: more than a
// producer may have in flight (five batches).
const maxPoints = 1 << 16

// producer is what a sequence of numbers belongs to.
type producer struct {
	id        int64
	epoch     int16
	topic     string
	partition int32
}

// sequence is how far the broker's numbers are from the producer's.
type sequence struct {
	next    int32   // what comes before it was sent to the broker, or dropped; see batch.again
	base    int32   // before points
	points  []point // in the order of at
	refused []refused
}

// sent is what of a batch goes to the broker for the first time.
type sent struct {
	of    producer
	crc   uint32
	first int32 // its number
	n     int32 // how many; 0: none
	gap   bool  // what comes before has not been sent
}

// refused is a batch that the broker has not taken, and what was done to it:
// when it comes again, the same is.
type refused struct {
	first  int32
	crc    uint32
	points []point
}

// maxRefused is more than a producer may have in flight.
const maxRefused = 16

// point is a record that was left out (by -1) or doubled (by 1); or the first of
// a whole batch of n records that was left out unread (by -n).
type point struct{ at, by int32 }

// before reports whether number a comes before b.
func before(a, b int32) bool {
	d := (b - a) & sequenceMask
	return d != 0 && d < 1<<30
}

// find returns the index of the first point that is not before number.
func (s *sequence) find(number int32) int {
	return sort.Search(len(s.points), func(i int) bool { return !before(s.points[i].at, number) })
}

// moved returns the broker's number for the producer's.
func (s *sequence) moved(number int32) int32 {
	by := s.base
	for _, p := range s.points[:s.find(number)] {
		by += p.by
	}
	return (number + by) & sequenceMask
}

// at returns what was done to the record with that number: 0 for nothing.
func (s *sequence) at(number int32) int32 {
	if i := s.find(number); i < len(s.points) && s.points[i].at == number {
		return s.points[i].by
	}
	return 0
}

// add notes what is done to a record, of which nothing is noted yet.
func (s *sequence) add(number, by int32) {
	s.points = slices.Insert(s.points, s.find(number), point{number, by})
	if len(s.points) > maxPoints {
		half := len(s.points) / 2
		for _, p := range s.points[:half] {
			s.base += p.by
		}
		s.points = append(s.points[:0], s.points[half:]...)
	}
}

// note keeps what is done to the records of a batch that nothing is noted of.
func (s *sequence) note(b *batch, copies []int) {
	if b.opaque {
		if b.again == 0 && copies[0] == 0 && s.at(b.sequence()) == 0 {
			s.add(b.sequence(), -max(1, b.count()))
		}
		return
	}
	for i := b.again; i < len(copies); i++ {
		if number := b.number(i); copies[i] != 1 && s.at(number) == 0 {
			s.add(number, int32(copies[i]-1))
		}
	}
}

// enrol notes that b is sent, and returns what of it is for the first time.
func (s *sequence) enrol(b *batch) (x sent) {
	n := max(1, b.count())
	x.gap = before(s.next, b.sequence())
	if ahead := (s.next - b.sequence()) & sequenceMask; !x.gap {
		b.again = int(min(ahead, n))
	}
	x.first, x.n, x.crc = b.number(b.again), n-int32(b.again), b.crc()
	if x.n == 0 {
		return x
	}
	for i, r := range s.refused {
		if r.first == x.first && r.crc == x.crc {
			s.points = append(s.points[:s.find(x.first)], r.points...)
			s.refused = slices.Delete(s.refused, i, i+1)
			break
		}
	}
	if !x.gap {
		s.next = x.end()
	}
	return x
}

func (x *sent) end() int32 { return (x.first + x.n) & sequenceMask }

// back takes back that x was sent.
func (s *sequence) back(x *sent) {
	at := s.find(x.first)
	if len(s.points) > at {
		if len(s.refused) >= maxRefused {
			s.refused = slices.Delete(s.refused, 0, 1)
		}
		s.refused = append(s.refused, refused{x.first, x.crc, slices.Clone(s.points[at:])})
	}
	s.points = s.points[:at]
	if before(x.first, s.next) {
		s.next = x.first
	}
}
