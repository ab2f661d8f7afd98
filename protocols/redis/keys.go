package redis

import "bytes"

// keySpec says where a command's keys are, as COMMAND reports it: arguments
// first to last (negative: from the end) in steps of step. The other forms
// say where to look in the arguments themselves.
type keySpec struct {
	first, last, step int
	num               int    // index of the argument that counts the keys behind it
	word              string // keys follow this word: STREAMS, STORE, KEYS
}

// of appends to dst the keys of a command with n arguments in all, of which
// a holds those that have been seen.
func (s *keySpec) of(a args, n int, dst []string) []string {
	from, to, step := s.first, s.last, s.step
	switch {
	case s.num > 0:
		dst = a.strings(s.first, s.last, max(step, 1), dst)
		if s.num >= a.len() {
			return dst
		}
		count, ok := parseInt(a.at(s.num))
		if !ok || count <= 0 || count > n {
			return dst
		}
		from, to, step = s.num+1, s.num+count, 1
	case s.word == "STREAMS":
		i := a.index(s.word, 1)
		if i < 0 {
			return dst
		}
		from, to, step = i+1, i+(n-i-1)/2, 1
	case s.word == "STORE":
		dst = a.strings(from, to, step, dst)
		i := a.index(s.word, 2)
		if i < 0 {
			i = a.index("STOREDIST", 2)
		}
		if i < 0 {
			return dst
		}
		from, to, step = i+1, i+1, 1
	case s.word == "KEYS" && a.len() > s.first && len(a.at(s.first)) == 0:
		i := a.index(s.word, s.first+1)
		if i < 0 {
			return dst
		}
		from, to, step = i+1, n-1, 1
	}
	if to < 0 {
		to += n
	}
	return a.strings(from, to, step, dst)
}

// args is the arguments of a command that have been seen, the name included.
type args struct {
	base  []byte
	spans []span
}

type span struct{ from, to int }

func (a args) len() int        { return len(a.spans) }
func (a args) at(i int) []byte { return a.base[a.spans[i].from:a.spans[i].to] }

// index returns the first argument from i on that is word in any case, or -1.
func (a args) index(word string, i int) int {
	for ; i < a.len(); i++ {
		if len(a.at(i)) == len(word) && bytes.EqualFold(a.at(i), []byte(word)) {
			return i
		}
	}
	return -1
}

func (a args) strings(from, to, step int, dst []string) []string {
	if from <= 0 {
		return dst
	}
	for i := from; i <= to && i < a.len(); i += step {
		dst = append(dst, string(a.at(i)))
	}
	return dst
}
