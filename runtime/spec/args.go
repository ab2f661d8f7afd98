package spec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// The functions here make the setters of parameters. Each stores what it
// understood and otherwise says what is wanted.

func wants(what string, v starlark.Value) error {
	return fmt.Errorf("want %s, got %s %s", what, v.Type(), show(v))
}

func toString(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		s, ok := starlark.AsString(v)
		if !ok {
			return wants("a string", v)
		}
		*dst = s
		return nil
	}
}

// toWord is toString for what must not be empty.
func toWord(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if err := toString(dst)(v); err != nil {
			return err
		}
		if strings.TrimSpace(*dst) == "" {
			return fmt.Errorf("is empty")
		}
		return nil
	}
}

func toBool(dst *bool) func(starlark.Value) error {
	return func(v starlark.Value) error {
		b, ok := v.(starlark.Bool)
		if !ok {
			return wants("True or False", v)
		}
		*dst = bool(b)
		return nil
	}
}

func toInt(dst *int, low, high int) func(starlark.Value) error {
	return func(v starlark.Value) error {
		n, ok := v.(starlark.Int)
		if !ok {
			return wants("a whole number", v)
		}
		i, fits := n.Int64()
		switch {
		case fits && i >= int64(low) && i <= int64(high):
			*dst = int(i)
			return nil
		case high == math.MaxInt32:
			return fmt.Errorf("want %d or more, got %s", low, v)
		}
		return fmt.Errorf("want a number from %d to %d, got %s", low, high, v)
	}
}

// maxDuration keeps durations where adding them up cannot overflow.
const maxDuration = 365 * 24 * time.Hour

// toDuration takes "500ms", "1m30s", or a number of seconds.
func toDuration(dst *time.Duration) func(starlark.Value) error {
	return func(v starlark.Value) error {
		d, err := duration(v)
		if err == nil {
			*dst = d
		}
		return err
	}
}

func duration(v starlark.Value) (time.Duration, error) {
	var d time.Duration
	switch v := v.(type) {
	case starlark.String:
		var err error
		if d, err = time.ParseDuration(strings.TrimSpace(string(v))); err != nil {
			return 0, fmt.Errorf(`%s is no duration; write for example "500ms", "2s" or "1m30s"`, v)
		}
	case starlark.Int, starlark.Float:
		seconds, _ := starlark.AsFloat(v)
		if math.IsNaN(seconds) || math.Abs(seconds) > maxDuration.Seconds() {
			return 0, fmt.Errorf("%s seconds is no duration that a test could take", v)
		}
		d = time.Duration(seconds * float64(time.Second))
	default:
		return 0, wants(`a duration such as "500ms", or a number of seconds`, v)
	}
	switch {
	case d < 0:
		return 0, fmt.Errorf("%s is negative", show(v))
	case d > maxDuration:
		return 0, fmt.Errorf("%s is longer than a year", show(v))
	}
	return d, nil
}

// toProbability takes 0.3 or "30%".
func toProbability(dst *float64) func(starlark.Value) error {
	return func(v starlark.Value) error {
		p, ok := starlark.AsFloat(v)
		if s, isString := starlark.AsString(v); isString {
			digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
			n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
			if !percent || err != nil || math.IsNaN(n) {
				return fmt.Errorf(`%q is no probability; write "30%%" or 0.3`, s)
			}
			if n < 0 || n > 100 {
				return fmt.Errorf("%q is not between 0%% and 100%%", s)
			}
			p, ok = n/100, true
		}
		if !ok {
			return wants(`a probability such as "30%" or 0.3`, v)
		}
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf(`%s is not between 0 and 1; for per cent write "%s%%"`, v, v)
		}
		*dst = p
		return nil
	}
}

// toOneOf takes one of a few words.
func toOneOf(dst *string, words ...string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		s, ok := starlark.AsString(v)
		if !ok {
			return wants(enumerate(quoteAll(words), "or"), v)
		}
		for _, w := range words {
			if s == w {
				*dst = s
				return nil
			}
		}
		return fmt.Errorf("want %s, got %q%s", enumerate(quoteAll(words), "or"), s, suggest(s, words))
	}
}

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return out
}

func toValue(dst *starlark.Value) func(starlark.Value) error {
	return func(v starlark.Value) error { *dst = v; return nil }
}

// toCallable takes a function that can be called with any of these numbers of
// arguments.
func toCallable(dst *starlark.Callable, params ...int) func(starlark.Value) error {
	return func(v starlark.Value) error {
		fn, ok := v.(starlark.Callable)
		if !ok {
			return wants("a function", v)
		}
		if b, isBuiltin := fn.(*starlark.Builtin); isBuiltin && strings.HasPrefix(b.Name(), "expect_") {
			return fmt.Errorf("%s makes an expectation when it is called; write %s(…)", b.Name(), b.Name())
		}
		if f, isFunc := fn.(*starlark.Function); isFunc && !acceptsAny(f, params) {
			return fmt.Errorf("%s cannot be called with %s", f.Name(), countArgs(params))
		}
		*dst = fn
		return nil
	}
}

func acceptsAny(f *starlark.Function, counts []int) bool {
	for _, n := range counts {
		if accepts(f, n) {
			return true
		}
	}
	return false
}

// accepts reports whether f can be called with n positional arguments.
func accepts(f *starlark.Function, n int) bool {
	most := f.NumParams() - f.NumKwonlyParams()
	if f.HasVarargs() {
		most--
	}
	if f.HasKwargs() {
		most--
	}
	for i := n; i < most; i++ {
		if f.ParamDefault(i) == nil {
			return false
		}
	}
	for i := most; i < most+f.NumKwonlyParams(); i++ {
		if f.ParamDefault(i) == nil {
			return false
		}
	}
	return n <= most || f.HasVarargs()
}

func countArgs(counts []int) string {
	words := make([]string, len(counts))
	for i, n := range counts {
		words[i] = [...]string{"no argument", "one argument", "two arguments"}[n]
	}
	return strings.Join(words, " or ")
}

// toList takes a list or tuple and hands each element to elem; a lone element
// is taken for a list of one.
func toList(elem func(starlark.Value) error) func(starlark.Value) error {
	return func(v starlark.Value) error {
		items, ok := elements(v)
		if !ok {
			return elem(v)
		}
		for i, x := range items {
			if err := elem(x); err != nil {
				return fmt.Errorf("element %d: %w", i+1, err)
			}
		}
		return nil
	}
}

// elements returns what a list or tuple holds.
func elements(v starlark.Value) ([]starlark.Value, bool) {
	switch v := v.(type) {
	case starlark.Tuple:
		return v, true
	case *starlark.List:
		items := make([]starlark.Value, v.Len())
		for i := range items {
			items[i] = v.Index(i)
		}
		return items, true
	}
	return nil, false
}

// toDict hands each entry of a dict with string keys to entry.
func toDict(what string, entry func(key string, v starlark.Value) error) func(starlark.Value) error {
	return func(v starlark.Value) error {
		d, ok := v.(*starlark.Dict)
		if !ok {
			return wants(what, v)
		}
		for _, kv := range d.Items() {
			key, ok := starlark.AsString(kv[0])
			if !ok {
				return fmt.Errorf("want strings as keys, got %s %s", kv[0].Type(), show(kv[0]))
			}
			if err := entry(key, kv[1]); err != nil {
				return err
			}
		}
		return nil
	}
}
