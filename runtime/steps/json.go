package steps

import (
	"bytes"
	"encoding/json"
	"strings"
)

// decodeJSON decodes one JSON value to nil, bool, int64, float64, string,
// []any and map[string]any. A whole number is an int64 if it fits.
func decodeJSON(text []byte) (value any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&value) != nil || dec.More() {
		return nil, false
	}
	return plainNumbers(value), true
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}

// encodeJSON encodes a value of a spec without escaping HTML.
func encodeJSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", misused("encode as JSON: %v", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// looksLikeJSON reports whether text is a JSON object or array.
func looksLikeJSON(text string) bool {
	t := strings.TrimLeft(text, " \t\r\n")
	return t != "" && (t[0] == '{' || t[0] == '[') && json.Valid([]byte(text))
}
