package mongodb

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// Protocol is MongoDB and whatever else speaks its wire protocol.
var Protocol = &protocols.Protocol{
	Name: "mongodb",
	Doc:  "OP_MSG: MongoDB, Percona Server for MongoDB, Amazon DocumentDB, Azure Cosmos DB, FerretDB, mongo-java-server",
	Port: 27017,
	Fields: map[string]protocols.Field{
		"method":     commandField,
		"command":    commandField,
		"key":        {Of: "collection"},
		"collection": {Of: "collection"},
		"database":   {Of: "database"},
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	Multiplexed: true,
	Window:      48 << 20, // more than a message
	Check:       check,
	New:         func() protocols.Codec { return new(codec) },
}

// commandField leaves alone what drivers do of their own accord unless the
// pattern spells it out.
var commandField = protocols.Field{Of: "op", Fold: true, Pick: func(pattern string) string {
	if strings.ContainsAny(pattern, "*?") {
		return "operation"
	}
	return "op"
}}

// check validates and completes a reply: see Protocol.Check. Code becomes a
// number in decimal.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("mongodb has no response(…): use error(…), drop(…) or delay(…)")
	case r.Status != 0:
		return errors.New("mongodb errors have no status: use code= (112 or \"WriteConflict\")")
	case len(r.Headers) > 0:
		return errors.New("mongodb answers have no headers")
	case len(r.Details) > 0:
		return errors.New("mongodb errors have no details: put the text into message=")
	case r.Messages != 0:
		return errors.New("mongodb answers are no streams of messages: leave messages= out")
	case strings.ContainsRune(r.Message, 0):
		return fmt.Errorf("mongodb error message %q: must not contain a NUL", r.Message)
	}
	c := infer(r.Message)
	if n, err := strconv.ParseInt(r.Code, 10, 32); err == nil {
		if n <= 0 {
			return fmt.Errorf("mongodb error code %s: must be greater than 0", r.Code)
		}
		c = code{number: int32(n), name: codeName(int32(n))}
		if i := slices.IndexFunc(codes, func(k code) bool { return k.number == c.number }); i >= 0 {
			c = codes[i]
		}
	} else if r.Code != "" {
		i := slices.IndexFunc(codes, func(k code) bool { return strings.EqualFold(k.name, r.Code) })
		if i < 0 {
			return fmt.Errorf("mongodb error code %q: use its number, or one of %s", r.Code, names())
		}
		c = codes[i]
	}
	r.Code = strconv.Itoa(int(c.number))
	r.Message = cmp.Or(r.Message, c.text, c.name)
	return nil
}

// infer returns the code that a message means, InternalError if it says nothing.
func infer(message string) code {
	m := strings.ToLower(message)
	for _, c := range codes {
		compound := strings.ToLower(c.name[1:]) != c.name[1:] // and so no word of English
		if compound && strings.Contains(m, strings.ToLower(c.name)) {
			return c
		}
	}
	for _, c := range codes {
		if slices.ContainsFunc(c.words, func(w string) bool { return strings.Contains(m, w) }) {
			return c
		}
	}
	return codes[len(codes)-1]
}

// codeName returns the name of a code, as servers make one up where there is none.
func codeName(number int32) string {
	for _, c := range codes {
		if c.number == number {
			return c.name
		}
	}
	return fmt.Sprintf("Location%d", number)
}

func names() string {
	var list []string
	for _, c := range codes {
		list = append(list, c.name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
