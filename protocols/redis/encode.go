package redis

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// appendReply appends r as the answer to e in that version of RESP.
func appendReply(dst []byte, r *protocols.Reply, e *exchange, version int) []byte {
	switch {
	case r.Error:
		return appendError(dst, r)
	case r.Value == nil || r.Value == "":
		return appendNull(dst, e, version)
	}
	return appendValue(dst, r.Value, version)
}

// appendError appends "-<code> <message>". A message without an error word of
// its own gets the code, by default ERR.
func appendError(dst []byte, r *protocols.Reply) []byte {
	message := strings.NewReplacer("\r", " ", "\n", " ").Replace(r.Message)
	word, _, _ := strings.Cut(message, " ")
	dst = append(dst, '-')
	switch {
	case r.Code != "" && word != r.Code:
		dst = append(append(dst, r.Code...), ' ')
	case r.Code == "" && !isCode(word):
		dst = append(dst, "ERR "...)
	}
	return append(append(dst, message...), '\r', '\n')
}

// appendNull appends what e answers when there is nothing.
func appendNull(dst []byte, e *exchange, version int) []byte {
	form := nullBulk
	if e.cmd != nil {
		form = e.cmd.null
	}
	array := form == nullArray || form == nullCount && e.args > 2
	switch {
	case form == nullsKeys && e.args > 1:
		return appendNulls(dst, "$-1\r\n", int(e.args)-1, version)
	case form == nullsField && e.args > 2:
		return appendNulls(dst, "$-1\r\n", int(e.args)-2, version)
	case form == nullsArray && e.args > 2:
		return appendNulls(dst, "*-1\r\n", int(e.args)-2, version)
	case form == emptyMap && version == 3:
		return append(dst, "%0\r\n"...)
	case form == emptySet && version == 3:
		return append(dst, "~0\r\n"...)
	case form == emptyArray, form == emptyCount && e.args > 2, form == emptySet, form == emptyMap:
		return append(dst, "*0\r\n"...)
	case array && version == 2:
		return append(dst, "*-1\r\n"...)
	}
	return appendValue(dst, nil, version)
}

func appendNulls(dst []byte, null string, n, version int) []byte {
	if version == 3 {
		null = "_\r\n"
	}
	dst = appendLength(dst, '*', n)
	for range n {
		dst = append(dst, null...)
	}
	return dst
}

// appendValue appends a Starlark value. What RESP2 has no type for it writes
// as the server would: a bool as 0 or 1, a float as a string, a dict as a list
// of keys and values (in the keys' order).
func appendValue(dst []byte, v any, version int) []byte {
	switch v := v.(type) {
	case nil:
		if version == 3 {
			return append(dst, "_\r\n"...)
		}
		return append(dst, "$-1\r\n"...)
	case string:
		return append(append(appendLength(dst, '$', len(v)), v...), '\r', '\n')
	case int:
		return appendLength(dst, ':', v)
	case int64:
		return append(strconv.AppendInt(append(dst, ':'), v, 10), '\r', '\n')
	case bool:
		switch {
		case version == 3 && v:
			return append(dst, "#t\r\n"...)
		case version == 3:
			return append(dst, "#f\r\n"...)
		case v:
			return append(dst, ":1\r\n"...)
		}
		return append(dst, ":0\r\n"...)
	case float64:
		s := formatFloat(v)
		if version == 3 {
			return append(append(append(dst, ','), s...), '\r', '\n')
		}
		return appendValue(dst, s, version)
	case []any:
		dst = appendLength(dst, '*', len(v))
		for _, e := range v {
			dst = appendValue(dst, e, version)
		}
	case map[string]any:
		if version == 3 {
			dst = appendLength(dst, '%', len(v))
		} else {
			dst = appendLength(dst, '*', 2*len(v))
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			dst = appendValue(appendValue(dst, k, version), v[k], version)
		}
	}
	return dst
}

func appendLength(dst []byte, t byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, t), int64(n), 10), '\r', '\n')
}

// formatFloat writes a double as RESP3 does: inf, -inf, nan or digits.
func formatFloat(v float64) string {
	return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
}
