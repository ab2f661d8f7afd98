package steps

import (
	"encoding/hex"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// mongodbDocument turns a dict into a document; its keys are in alphabetical
// order. Extended JSON stands for what a spec has no type for.
func mongodbDocument(v any) (bson.D, error) {
	if v == nil {
		return bson.D{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a dict, not %s", kindOf(v))
	}
	text, err := encodeJSON(m)
	if err != nil {
		return nil, err
	}
	d := bson.D{}
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		return nil, fmt.Errorf("read as extended JSON: %w", err)
	}
	return d, nil
}

// mongodbSort reads a dict with one key, or a list of such dicts: the order of
// the keys of a dict is not known.
func mongodbSort(v any) (bson.D, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	order := bson.D{}
	for _, one := range list {
		d, err := mongodbDocument(one)
		if err != nil || len(d) != 1 {
			return nil, misused("find: sort: must be a dict with one key, such as {\"name\": 1}, or a list of such dicts")
		}
		order = append(order, d...)
	}
	return order, nil
}

// mongodbField returns a field of a document, nil if it is not there.
func mongodbField(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

// mongodbValue turns a value into one that a spec knows.
func mongodbValue(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v
	case int32:
		return int64(v)
	case float64:
		return number(fmt.Sprint(v))
	case bson.D:
		m := make(map[string]any, len(v))
		for _, e := range v {
			m[e.Key] = mongodbValue(e.Value)
		}
		return m
	case bson.A:
		list := make([]any, len(v))
		for i := range v {
			list[i] = mongodbValue(v[i])
		}
		return list
	case bson.ObjectID:
		return v.Hex()
	case bson.DateTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case bson.Decimal128:
		return number(v.String())
	case bson.Binary:
		return hex.EncodeToString(v.Data)
	case bson.Null, bson.Undefined:
		return nil
	}
	return fmt.Sprint(v)
}
