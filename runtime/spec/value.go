package spec

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// maxDepth bounds nested data, so that data that holds itself is an error.
const maxDepth = 100

// toGo converts plain data: nil, string, int64, float64, bool, []any and
// map[string]any.
func toGo(v starlark.Value) (any, error) { return toGoDepth(v, maxDepth) }

func toGoDepth(v starlark.Value, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("the value is nested too deeply, or holds itself")
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.String:
		return string(v), nil
	case starlark.Bytes:
		return string(v), nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Float:
		return float64(v), nil
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			return nil, fmt.Errorf("%s does not fit into 64 bits", show(v))
		}
		return n, nil
	case *responseValue:
		return toGoDepth(v.data, depth-1)
	case *starlark.Dict:
		return dictToGo(v, depth)
	case *starlarkstruct.Struct:
		d := starlark.StringDict{}
		v.ToStringDict(d)
		out := make(map[string]any, len(d))
		for name, x := range d {
			var err error
			if out[name], err = toGoDepth(x, depth-1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case starlark.Iterable:
		out := []any{}
		it := v.Iterate()
		defer it.Done()
		var x starlark.Value
		for it.Next(&x) {
			g, err := toGoDepth(x, depth-1)
			if err != nil {
				return nil, err
			}
			out = append(out, g)
		}
		return out, nil
	}
	return nil, wants("plain data", v)
}

func dictToGo(d *starlark.Dict, depth int) (any, error) {
	out := make(map[string]any, d.Len())
	for _, kv := range d.Items() {
		key, ok := starlark.AsString(kv[0])
		if !ok {
			return nil, fmt.Errorf("want strings as keys, got %s %s", kv[0].Type(), show(kv[0]))
		}
		g, err := toGoDepth(kv[1], depth-1)
		if err != nil {
			return nil, err
		}
		out[key] = g
	}
	return out, nil
}

// fromGo converts decoded data. Keys of maps are put in order.
func fromGo(v any) starlark.Value {
	switch v := v.(type) {
	case nil:
		return starlark.None
	case string:
		return starlark.String(v)
	case []byte:
		return starlark.String(v)
	case bool:
		return starlark.Bool(v)
	case int:
		return starlark.MakeInt(v)
	case int64:
		return starlark.MakeInt64(v)
	case uint64:
		return starlark.MakeUint64(v)
	case float64:
		return starlark.Float(v)
	case json.Number:
		return number(string(v))
	case time.Time:
		return starlark.String(v.Format(time.RFC3339Nano))
	case []any:
		items := make([]starlark.Value, len(v))
		for i, x := range v {
			items[i] = fromGo(x)
		}
		return starlark.NewList(items)
	case []string:
		items := make([]starlark.Value, len(v))
		for i, x := range v {
			items[i] = starlark.String(x)
		}
		return starlark.NewList(items)
	case map[string]string:
		d := starlark.NewDict(len(v))
		for _, k := range sortedKeys(v) {
			d.SetKey(starlark.String(k), starlark.String(v[k]))
		}
		return d
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, k := range sortedKeys(v) {
			d.SetKey(starlark.String(k), fromGo(v[k]))
		}
		return d
	}
	return starlark.String(fmt.Sprint(v))
}

// number converts the text of a JSON number, keeping integers whole.
func number(s string) starlark.Value {
	if n, ok := new(big.Int).SetString(s, 10); ok {
		return starlark.MakeBigInt(n)
	}
	f, _ := json.Number(s).Float64()
	return starlark.Float(f)
}

// opaque is the part that all values of the language without a life of their
// own share: they cannot change, are true, and are no dictionary keys.
type opaque struct{}

func (opaque) Freeze()              {}
func (opaque) Truth() starlark.Bool { return true }
func (opaque) Hash() (uint32, error) {
	return 0, fmt.Errorf("this value cannot be a key of a dictionary")
}
