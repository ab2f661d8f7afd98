package mongodb

import (
	"bytes"
	"encoding/binary"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// chores are the commands that drivers send of their own accord, in lower case.
var chores = map[string]bool{
	"hello": true, "ismaster": true, "ping": true, "saslstart": true, "saslcontinue": true,
	"authenticate": true, "getnonce": true, "logout": true, "endsessions": true,
}

// command is what a command's document says of it. Its slices are those of the
// message.
type command struct {
	name, collection, database []byte

	lsid, txnNumber, recovery []byte // whole elements
	transaction               bool   // it is part of one
	starts                    bool   // … the first
	unordered                 bool
	documents                 int // of a write that has come whole
}

// readCommand reads m.doc. It returns false for a document that is none.
func readCommand(m *message) (cmd command, ok bool) {
	doc := m.doc
	if m.op == opQuery {
		db, collection, _ := strings.Cut(m.query, ".")
		cmd.database = []byte(db)
		if collection != "$cmd" { // as OP_QUERY was meant once
			cmd.name, cmd.collection = []byte("find"), []byte(collection)
			return cmd, true
		}
	}
	err := elements(doc, func(i int, key, e []byte) {
		value := bsoncore.Value{Type: bsoncore.Type(e[0]), Data: e[len(key)+2:]}
		if i == 0 {
			if m.op == opQuery && (string(key) == "$query" || string(key) == "query") && value.Type == bsoncore.TypeEmbeddedDocument {
				elements(value.Data, func(i int, key, _ []byte) {
					if i == 0 {
						cmd.name = key
					}
				})
				return
			}
			cmd.name, cmd.collection = key, name(value)
			if value.Type == bsoncore.TypeEmbeddedDocument { // explain
				elements(value.Data, func(i int, key, e []byte) {
					if i == 0 {
						cmd.collection = name(bsoncore.Value{Type: bsoncore.Type(e[0]), Data: e[len(key)+2:]})
					}
				})
			}
			return
		}
		cmd.field(key, e, value)
	})
	for _, s := range m.sequences {
		if id, documents := sequence(s); id != "nsInfo" {
			cmd.documents += count(documents)
		}
	}
	return cmd, err == nil && len(cmd.name) > 0
}

// field takes note of a command's further element e.
func (cmd *command) field(key, e []byte, value bsoncore.Value) {
	switch string(key) {
	case "$db":
		cmd.database = name(value)
	case "collection":
		if string(cmd.name) == "getMore" {
			cmd.collection = name(value)
		}
	case "lsid":
		cmd.lsid = e
	case "txnNumber":
		cmd.txnNumber = e
	case "recoveryToken":
		cmd.recovery = e
	case "autocommit":
		cmd.transaction = value.Type == bsoncore.TypeBoolean && !value.Boolean()
	case "startTransaction":
		cmd.starts = value.Type == bsoncore.TypeBoolean && value.Boolean()
	case "ordered":
		cmd.unordered = value.Type == bsoncore.TypeBoolean && !value.Boolean()
	case "documents", "updates", "deletes":
		if value.Type == bsoncore.TypeArray {
			elements(value.Data, func(int, []byte, []byte) { cmd.documents++ })
		}
	}
}

// elements calls f with each element of a document, its number and its key.
func elements(doc []byte, f func(i int, key, element []byte)) error {
	if len(doc) < 5 {
		return bsoncore.ErrMissingNull
	}
	rest := doc[4 : len(doc)-1]
	for i := 0; len(rest) > 0; i++ {
		e, next, ok := bsoncore.ReadElement(rest)
		if !ok {
			return bsoncore.ErrMissingNull
		}
		key, err := e.KeyBytesErr()
		if err != nil {
			return err
		}
		f(i, key, e)
		rest = next
	}
	return nil
}

// name returns what a string holds, nil for any other value.
func name(v bsoncore.Value) []byte {
	if v.Type != bsoncore.TypeString || len(v.Data) < 5 {
		return nil
	}
	return v.Data[4 : len(v.Data)-1]
}

// sequence splits a section of kind 1 into its identifier (documents, updates …)
// and its documents.
func sequence(section []byte) (id string, documents []byte) {
	before, after, _ := bytes.Cut(section[4:], []byte{0})
	return string(before), after
}

// count returns how many documents there are in b.
func count(b []byte) (n int) {
	for len(b) >= 5 {
		size := int(int32(binary.LittleEndian.Uint32(b)))
		if size < 5 || size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}
