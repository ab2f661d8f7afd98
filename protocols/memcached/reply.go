package memcached

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// answer writes the answer to e that a reply asks for; empty: a quiet command
// with nothing to tell.
func (e *entry) answer(r *protocols.Reply) []byte {
	switch {
	case e.form == packet || e.form == packets:
		return e.packets(r)
	case r.Error && r.Message == "":
		return []byte(r.Code + "\r\n")
	case r.Error:
		return []byte(r.Code + " " + r.Message + "\r\n")
	}
	text := strings.Builder{}
	e.text(&text, r.Value)
	return []byte(text.String())
}

// text writes the line, or lines, that tell of a value; none of a miss.
func (e *entry) text(w *strings.Builder, value any) {
	v, found := written(value)
	yes := map[bool]string{true: "STORED", false: "NOT_STORED"}
	switch e.op {
	case "get", "gets", "gat", "gats":
		if e.keys == nil {
			e.valueLine(w, e.key, value)
		}
		for _, key := range e.keys {
			e.valueLine(w, key, value)
		}
		w.WriteString("END\r\n")
		return
	case "mg", "ms", "md", "ma", "me":
		e.metaLine(w, v, found)
		return
	case "stats":
		stats, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(stats)) {
			v, _ := written(stats[name])
			fmt.Fprintf(w, "STAT %s %s\r\n", name, v)
		}
		w.WriteString("END\r\n")
		return
	case "incr", "decr":
		yes = map[bool]string{true: v, false: "NOT_FOUND"}
	case "delete":
		yes = map[bool]string{true: "DELETED", false: "NOT_FOUND"}
	case "touch":
		yes = map[bool]string{true: "TOUCHED", false: "NOT_FOUND"}
	case "cas":
		yes = map[bool]string{true: "STORED", false: "NOT_FOUND"}
	case "version":
		yes = map[bool]string{true: "VERSION " + v, false: "VERSION"}
	case "mn":
		yes = map[bool]string{true: "MN", false: "MN"}
	case "set", "add", "replace", "append", "prepend":
	default:
		yes = map[bool]string{true: v, false: "OK"}
	}
	said := yes[found]
	switch v {
	case "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK": // as it stands
		said = v
	}
	w.WriteString(said + "\r\n")
}

// valueLine writes VALUE of one key of a get. value is for all keys, or a dict by key.
func (e *entry) valueLine(w *strings.Builder, key string, value any) {
	if byKey, ok := value.(map[string]any); ok {
		value = byKey[key]
	}
	v, found := written(value)
	if !found {
		return
	}
	fmt.Fprintf(w, "VALUE %s 0 %d", key, len(v))
	if e.op == "gets" || e.op == "gats" {
		w.WriteString(" 1")
	}
	w.WriteString("\r\n" + v + "\r\n")
}

// metaLine writes the answer to a meta command, with the flags that it asks for.
func (e *entry) metaLine(w *strings.Builder, v string, found bool) {
	code := "HD"
	shows := slices.Contains(e.flags, "v")
	key := cmp.Or(e.base64, e.key)
	switch {
	case e.op == "me" && found:
		code = "ME " + key
	case !found && (e.op == "mg" || e.op == "me"):
		code = "EN"
	case !found && e.op == "ms":
		code = "NS"
	case !found:
		code = "NF"
	case e.op == "mg" && shows, e.op == "ma" && shows:
		code = "VA " + strconv.Itoa(len(v))
	}
	if e.quiet && (code == "EN" || code == "HD" && e.op != "mg" || e.op == "ma" && found) {
		return
	}
	w.WriteString(code)
	for _, f := range e.flags {
		if (code == "EN" || code == "NF") && f[0] != 'O' && f[0] != 'k' {
			continue
		}
		switch f[0] {
		case 'O':
			w.WriteString(" " + f)
		case 'k':
			w.WriteString(" k" + key)
			if e.base64 != "" {
				w.WriteString(" b")
			}
		case 's':
			fmt.Fprintf(w, " s%d", len(v))
		case 't':
			if f == "t" {
				w.WriteString(" t-1")
			}
		case 'f', 'h', 'l':
			if len(f) == 1 {
				w.WriteString(" " + f + "0")
			}
		case 'c':
			w.WriteString(" c1")
		}
	}
	w.WriteString("\r\n")
	if strings.HasPrefix(code, "VA") {
		w.WriteString(v + "\r\n")
	}
}

// written returns a value as the server keeps it; empty is a miss.
func written(value any) (text string, found bool) {
	switch v := value.(type) {
	case string:
		text = v
	case bool:
		if !v {
			return "", false
		}
		text = "1"
	case int:
		text = strconv.Itoa(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return text, text != ""
}

// Statuses of the binary protocol that are ordinary outcomes.
const (
	keyNotFound = 1
	notStored   = 5
)

// packets writes the answer to a binary command.
func (e *entry) packets(r *protocols.Reply) []byte {
	if r.Error {
		text := r.Message
		if text == "" {
			text = "Unknown command"
		}
		return packetOf(e.opcode, e.opaque, uint16(r.Status), nil, nil, []byte(text))
	}
	value := r.Value
	if byKey, ok := value.(map[string]any); ok && e.op != "stats" {
		value = byKey[e.key]
	}
	v, found := written(value)
	var extras, key []byte
	body := []byte{}
	switch e.op {
	case "get", "gat":
		extras, body = make([]byte, 4), []byte(v)
		if e.opcode == 0x0c || e.opcode == 0x0d || e.opcode >= 0x23 { // GetK, GATK
			key = []byte(e.key)
		}
	case "incr", "decr":
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			n = math.MaxUint64
		}
		body = binary.BigEndian.AppendUint64(nil, n)
	case "stats":
		return e.statPackets(value)
	case "version":
		body = []byte(v)
	}
	switch {
	case found && e.quiet && e.op != "get" && e.op != "gat", !found && e.quiet && (e.op == "get" || e.op == "gat"):
		return nil
	case found || e.op == "noop" || e.op == "version" || e.op == "flush_all" || e.op == "verbosity":
		return packetOf(e.opcode, e.opaque, 0, extras, key, body)
	}
	switch {
	case key != nil:
		return packetOf(e.opcode, e.opaque, keyNotFound, nil, key, nil)
	case e.op == "append" || e.op == "prepend" || e.op == "add":
		return packetOf(e.opcode, e.opaque, notStored, nil, nil, []byte("Not stored."))
	}
	return packetOf(e.opcode, e.opaque, keyNotFound, nil, nil, []byte("Not found"))
}

func (e *entry) statPackets(value any) (out []byte) {
	stats, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		v, _ := written(stats[name])
		out = append(out, packetOf(e.opcode, e.opaque, 0, nil, []byte(name), []byte(v))...)
	}
	return append(out, packetOf(e.opcode, e.opaque, 0, nil, nil, nil)...)
}
