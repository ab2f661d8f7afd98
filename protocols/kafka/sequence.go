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
	base   int32   // before points
	points []point // in the order of at
}

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
