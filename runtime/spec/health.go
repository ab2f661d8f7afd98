package spec

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// healthValue is what tcp(…), http(…) and ready() return.
type healthValue struct {
	opaque
	health runtime.Health
}

func (h *healthValue) String() string { return fmt.Sprintf("%s(%q)", h.health.Kind, h.health.Addr) }
func (h *healthValue) Type() string   { return "healthcheck" }

func toHealth(dst **runtime.Health) func(starlark.Value) error {
	return func(v starlark.Value) error {
		h, ok := v.(*healthValue)
		if !ok {
			return wants("tcp(…), http(…) or ready()", v)
		}
		health := h.health
		*dst = &health
		return nil
	}
}

func (l *loader) tcp(c *call) (starlark.Value, error)   { return health(c, "addr", checkAddr) }
func (l *loader) http(c *call) (starlark.Value, error)  { return health(c, "url", checkURL) }
func (l *loader) ready(c *call) (starlark.Value, error) { return health(c, "", nil) }

// health makes a health check whose address is the parameter of that name.
func health(c *call, name string, check func(string) error) (starlark.Value, error) {
	h := &healthValue{health: runtime.Health{Kind: c.name}}
	params := []param{keyword("timeout", toTimeout(&h.health.Timeout))}
	if name != "" {
		params = append([]param{required(name, func(v starlark.Value) error {
			if err := toWord(&h.health.Addr)(v); err != nil {
				return err
			}
			return check(h.health.Addr)
		})}, params...)
	}
	return h, c.unpack(params, nil, nil)
}

// toTimeout is toDuration for what must be more than nothing.
func toTimeout(dst *time.Duration) func(starlark.Value) error {
	return func(v starlark.Value) error {
		err := toDuration(dst)(v)
		if err == nil && *dst == 0 {
			return fmt.Errorf("want more than 0")
		}
		return err
	}
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
		return fmt.Errorf(`%q is no address; write for example "localhost:5432"`, addr)
	}
	return nil
}

func checkURL(addr string) error {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf(`%q is no URL; write for example "http://localhost:8080/health"`, addr)
	}
	return nil
}

// decoder is what json_decoder(), logfmt_decoder() and regex_decoder(…) return.
type decoder struct {
	opaque
	name   string
	decode func(line string) (map[string]any, bool)
}

func (d *decoder) String() string { return d.name + "()" }
func (d *decoder) Type() string   { return "decoder" }

// observerValue is what stdout(…) and stderr(…) return.
type observerValue struct {
	opaque
	observer runtime.Observer
}

func (o *observerValue) String() string { return o.observer.Stream + "()" }
func (o *observerValue) Type() string   { return "observer" }

func toObserver(dst *[]runtime.Observer) func(starlark.Value) error {
	return func(v starlark.Value) error {
		o, ok := v.(*observerValue)
		if !ok {
			return wants("stdout(…) or stderr(…)", v)
		}
		*dst = append(*dst, o.observer)
		return nil
	}
}

// observer is stdout(…) and stderr(…). Without a decoder every line is an
// event with the one field "line".
func (l *loader) observer(c *call) (starlark.Value, error) {
	o := &observerValue{observer: runtime.Observer{Stream: c.name, Decode: func(line string) (map[string]any, bool) {
		return map[string]any{"line": line}, true
	}}}
	return o, c.unpack([]param{optional("decoder", func(v starlark.Value) error {
		d, ok := v.(*decoder)
		if !ok {
			return wants("json_decoder(), logfmt_decoder() or regex_decoder(…)", v)
		}
		o.observer.Decode = d.decode
		return nil
	})}, nil, nil)
}

func (l *loader) jsonDecoder(c *call) (starlark.Value, error) {
	return &decoder{name: c.name, decode: decodeJSON}, c.unpack(nil, nil, nil)
}

func (l *loader) logfmtDecoder(c *call) (starlark.Value, error) {
	return &decoder{name: c.name, decode: decodeLogfmt}, c.unpack(nil, nil, nil)
}

// regexDecoder makes fields of a pattern's named groups.
func (l *loader) regexDecoder(c *call) (starlark.Value, error) {
	var re *regexp.Regexp
	err := c.unpack([]param{required("pattern", func(v starlark.Value) error {
		var s string
		err := toWord(&s)(v)
		if err != nil {
			return err
		}
		if re, err = regexp.Compile(s); err != nil {
			return fmt.Errorf("%q: %w", s, err)
		}
		if strings.Join(re.SubexpNames(), "") == "" {
			return fmt.Errorf("%q names no group; write (?P<name>…)", s)
		}
		return nil
	})}, nil, nil)
	return &decoder{name: c.name, decode: func(line string) (map[string]any, bool) {
		m := re.FindStringSubmatch(line)
		if m == nil {
			return nil, false
		}
		fields := map[string]any{}
		for i, name := range re.SubexpNames() {
			if name != "" {
				fields[name] = m[i]
			}
		}
		return fields, true
	}}, err
}

func decodeJSON(line string) (map[string]any, bool) {
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil || fields == nil {
		return nil, false
	}
	return fields, true
}

// decodeLogfmt reads key=value pairs; a value may be quoted. A line without
// any pair is not of the form.
func decodeLogfmt(line string) (map[string]any, bool) {
	fields := map[string]any{}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		end := strings.IndexAny(line, "= \t")
		if end <= 0 || line[end] != '=' {
			if end < 0 {
				break
			}
			line = line[end+1:]
			continue
		}
		key, rest := line[:end], line[end+1:]
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			fields[key], _ = strconv.Unquote(quoted)
			line = rest[len(quoted):]
			continue
		}
		value := rest
		if i := strings.IndexAny(rest, " \t"); i >= 0 {
			value = rest[:i]
		}
		fields[key], line = value, rest[len(value):]
	}
	return fields, len(fields) > 0
}
