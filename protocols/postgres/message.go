package postgres

import (
	"encoding/binary"

	"faultbox/protocols"
)

// What the server is sent so that it fails: the name says in its log why.
const (
	refused      = `SELECT "withheld by faultbox"` // 42703, or 25P02 in a failed transaction
	rollback     = "ROLLBACK"
	noSuchPortal = "withheld by faultbox" // 34000

	failedTransaction = "25P02"
	noTransaction     = "25P01"
)

// message makes a message of that type; parts are its body.
func message(tag byte, parts ...string) []byte {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	b := binary.BigEndian.AppendUint32(append(make([]byte, 0, n+1), tag), uint32(n))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func query(text string) []byte { return message('Q', text, "\x00") }

// execute asks for all rows of a portal.
func execute(portal string) []byte { return message('E', portal, "\x00\x00\x00\x00\x00") }

func closePortal(name string) []byte { return message('C', "P", name, "\x00") }

func copyFail() []byte { return message('f', "withheld by faultbox\x00") }

// rollbackExtended ends a transaction in the extended protocol without
// touching the unnamed statement and portal.
func rollbackExtended() (messages []byte) {
	const name = "faultbox\x00"
	messages = append(messages, message('P', name, rollback, "\x00", "\x00\x00")...)
	messages = append(messages, message('B', name, name, "\x00\x00", "\x00\x00", "\x00\x00")...)
	messages = append(messages, execute("faultbox")...)
	return append(messages, message('C', "S", name)...)
}

// errorMessage makes an ErrorResponse (manual: "Error and Notice Message Fields").
func errorMessage(r *protocols.Reply) []byte {
	severity := r.Details["severity"]
	if severity == "" {
		severity = "ERROR"
	}
	parts := []string{"S", severity, "\x00V", severity, "\x00C", r.Code, "\x00M", r.Message}
	if s := r.Details["detail"]; s != "" {
		parts = append(parts, "\x00D", s)
	}
	if s := r.Details["hint"]; s != "" {
		parts = append(parts, "\x00H", s)
	}
	return message('E', append(parts, "\x00\x00")...)
}

// errorCode returns the SQLSTATE of an ErrorResponse or NoticeResponse.
func errorCode(b []byte) string {
	for b = b[5:]; len(b) > 0 && b[0] != 0; {
		field, rest := cstring(b[1:])
		if b[0] == 'C' {
			return codeString(field)
		}
		b = rest
	}
	return ""
}

func codeString(b []byte) string { return string(b[:min(len(b), 5)]) }
