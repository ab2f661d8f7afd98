package steps

import (
	"math"
	"strconv"
)

// number turns decimal text into an int64 if it is whole and fits, else into a
// float64, else (NaN, Infinity, no number at all) leaves it as it is.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return f
	}
	return text
}

// text writes a scalar of a spec as most protocols take it; ok is false for
// nil, lists and dicts.
func text(v any) (s string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}
