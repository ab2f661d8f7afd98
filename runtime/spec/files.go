package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.starlark.net/starlark"
	"go.yaml.in/yaml/v3"
)

// readData reads the file that load_file, load_json and load_yaml name, seen
// from the spec's folder.
func (l *loader) readData(c *call) (path string, data []byte, err error) {
	if err := c.unpack([]param{required("path", toWord(&path))}, nil, nil); err != nil {
		return "", nil, err
	}
	data, err = readLimited(func() (fs.File, error) { return os.Open(l.path(path)) })
	if err != nil {
		return "", nil, c.at(c.site.positional(0), fmt.Errorf("%q: %w", path, err))
	}
	return path, data, nil
}

func (l *loader) loadText(c *call) (starlark.Value, error) {
	_, data, err := l.readData(c)
	return starlark.String(data), err
}

func (l *loader) loadJSON(c *call) (starlark.Value, error) {
	path, data, err := l.readData(c)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		offset := d.InputOffset()
		var bad *json.SyntaxError
		if errors.As(err, &bad) {
			offset = bad.Offset
		}
		return nil, c.at(c.site.positional(0), fmt.Errorf("%s:%d: not JSON: %w", path, lineAt(data, offset), noEOF(err)))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, c.at(c.site.positional(0), fmt.Errorf("%s:%d: not JSON: there is more after the value", path, lineAt(data, d.InputOffset())))
	}
	return fromGo(v), nil
}

// noEOF says in words that a value ends too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends too early")
	}
	return err
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

func (l *loader) loadYAML(c *call) (starlark.Value, error) {
	path, data, err := l.readData(c)
	if err != nil {
		return nil, err
	}
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, c.at(c.site.positional(0), fmt.Errorf("%s: not YAML: %w", path, err))
	}
	v, err = plainYAML(v)
	if err != nil {
		return nil, c.at(c.site.positional(0), fmt.Errorf("%s: %w", path, err))
	}
	return fromGo(v), nil
}

// plainYAML gives maps string keys, as JSON has them.
func plainYAML(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			p, err := plainYAML(x)
			if err != nil {
				return nil, err
			}
			v[k] = p
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			switch k.(type) {
			case string, int, bool, float64:
			default:
				return nil, fmt.Errorf("%v cannot be a key", k)
			}
			p, err := plainYAML(x)
			if err != nil {
				return nil, err
			}
			out[fmt.Sprint(k)] = p
		}
		return out, nil
	case []any:
		for i, x := range v {
			p, err := plainYAML(x)
			if err != nil {
				return nil, err
			}
			v[i] = p
		}
	}
	return v, nil
}
