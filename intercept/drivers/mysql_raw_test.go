package drivers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"testing"
	"time"

	"faultbox/protocols/mysql"
)

// rawMySQL is a client that asks for what few others do. It logs in as root,
// who has no password.
type rawMySQL struct {
	testing.TB
	net.Conn
	buf     []byte
	mariadb bool
}

// Capabilities that a raw client picks from, and those that it always has.
const (
	rawDeprecateEOF     = 1 << 24
	rawOptionalMetadata = 1 << 25
	rawQueryAttributes  = 1 << 27
	rawAlways           = 1<<0 | 1<<3 | 1<<9 | 1<<13 | 1<<15 | 1<<16 | 1<<17 | 1<<18 | 1<<19
)

func newRawMySQL(t testing.TB, addr string, flags uint32) *rawMySQL {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	m := &rawMySQL{TB: t, Conn: c}
	hello := m.packet()
	m.mariadb = bytes.Contains(hello, []byte("MariaDB"))
	plugin := hello[bytes.LastIndexByte(hello[:len(hello)-1], 0)+1:]
	login := binary.LittleEndian.AppendUint32(nil, rawAlways|flags)
	login = append(login, 0, 0, 0, 64, 45)
	login = append(login, make([]byte, 23)...)
	login = append(login, "root\x00\x00"+MySQLDatabase+"\x00"...)
	m.send(1, string(append(login, plugin...)))
	if answer := m.packet(); answer[0] == 0xfe {
		m.send(3, "") // another method, with the same empty password
		if answer = m.packet(); answer[0] != 0 {
			t.Fatalf("root can't log in: %q", answer)
		}
	} else if answer[0] != 0 {
		t.Fatalf("root can't log in: %q", answer)
	}
	return m
}

func (m *rawMySQL) send(seq byte, payload string) {
	m.Write(append([]byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), seq}, payload...))
}

// packet reads one packet and returns its payload.
func (m *rawMySQL) packet() []byte {
	m.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(m, head); err != nil {
		m.Fatal(err)
	}
	b := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(m, b); err != nil {
		m.Fatal(err)
	}
	return b
}

// ask sends a command and, in the same breath, one for statistics, and returns
// what comes before these.
func (m *rawMySQL) ask(payload string) (answer string) {
	m.Helper()
	m.Write(append([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, 0}, payload+"\x01\x00\x00\x00\x09"...))
	for b := make([]byte, 4096); ; {
		if i := bytes.Index(m.buf, []byte("Uptime: ")); i >= 4 {
			end := i + int(m.buf[i-4]) + int(m.buf[i-3])<<8
			for len(m.buf) < end {
				n, err := m.Read(b)
				if err != nil {
					m.Fatal(err)
				}
				m.buf = append(m.buf, b[:n]...)
			}
			answer, m.buf = string(m.buf[:i-4]), m.buf[end:]
			return answer
		}
		n, err := m.Read(b)
		if err != nil {
			m.Fatalf("%q: %v after %q", payload, err, m.buf)
		}
		m.buf = append(m.buf, b[:n]...)
	}
}

// mysqlRaw goes through what depends on capabilities.
func mysqlRaw(t *testing.T, addr string) (saw []string) {
	for _, flags := range []uint32{0, rawDeprecateEOF, rawDeprecateEOF | rawOptionalMetadata, rawOptionalMetadata, rawQueryAttributes | rawDeprecateEOF} {
		m := newRawMySQL(t, addr, flags)
		ids := regexp.MustCompile(`statement( handler)? \(\d+\)`)
		say := func(what, payload string) {
			answer := m.ask(payload)
			switch {
			case payload[0] == 0x16 && answer[4] == 0:
				answer = answer[:5] + answer[9:]
			case answer[4] == 0xff: // its length depends on that of the id
				answer = answer[4:]
			}
			saw = append(saw, ids.ReplaceAllString(fmt.Sprintf("%x %s: %q", flags, what, answer), "ID"))
		}
		mysqlOnly := flags&(rawOptionalMetadata|rawQueryAttributes) != 0
		if mysqlOnly && m.mariadb {
			continue
		}
		attributes := ""
		if flags&rawQueryAttributes != 0 {
			attributes = "\x02\x01\x00\x01\xfe\x00\x01a\x08\x00\x01b\x02hi12345678"
		}
		query := func(sql string) {
			say(sql, "\x03"+attributes+sql)
			if attributes != "" {
				attributes = "\x00\x01" // none
			}
		}
		query("CREATE TABLE r (i INT, t TEXT)")
		query("INSERT INTO r VALUES (1, ''), (2, NULL), (3, 'three')")
		query("SELECT t, i FROM r")
		if flags&rawOptionalMetadata != 0 {
			query("SET SESSION resultset_metadata = NONE")
			query("SELECT t, i FROM r")
			query("SELECT t, i FROM r WHERE 1 = 0")
		}
		prepared := m.ask("\x16SELECT i, t FROM r WHERE i > ?")
		id := prepared[5:9] // of all connections, with MariaDB
		saw = append(saw, fmt.Sprintf("%x prepare: %q", flags, prepared[9:]))
		bound := "\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		count := ""
		if flags&rawQueryAttributes != 0 {
			count, bound = "\x01", "\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		}
		say("execute", "\x17"+id+"\x00\x01\x00\x00\x00"+count+"\x00"+bound)
		say("execute with a cursor", "\x17"+id+"\x01\x01\x00\x00\x00"+count+"\x00"+bound)
		say("fetch", "\x1c"+id+"\x02\x00\x00\x00")
		say("fetch", "\x1c"+id+"\x02\x00\x00\x00")
		say("fetch", "\x1c"+id+"\x02\x00\x00\x00")
		say("reset", "\x1a"+id)
		say("no such statement", "\x17\x63\x63\x63\x00\x00\x01\x00\x00\x00")
		say("prepare nonsense", "\x16SELEC")
		say("prepare without rows", "\x16DELETE FROM r WHERE 1 = 0")
		say("ping", "\x0e")
		say("use", "\x02"+"nowhere")
		say("use", "\x02"+MySQLDatabase)
		say("option", "\x1b\x00\x00")
		say("fields", "\x04r\x00")
		say("debug", "\x0d")
		say("unknown", "\x42")
		say("reset connection", "\x1f")
		say("drop", "\x03"+attributes+"DROP TABLE "+MySQLDatabase+".r")
		m.send(0, "\x01")
	}
	return saw
}

// TestMySQLReplication: a stream that is not followed, from its start.
func TestMySQLReplication(t *testing.T) {
	server := MariaDB(t, "--log-bin=log", "--server-id=1")
	Compared(t, mysql.Protocol, server, "raw", "replication")
	stream := func(addr string) string {
		m := newRawMySQL(t, addr, 0)
		if answer := m.ask("\x15\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"); len(answer) == 0 || answer[4] != 0 {
			t.Errorf("register: %q", answer)
		}
		m.send(0, "\x12\x04\x00\x00\x00\x01\x00\x02\x00\x00\x00log.000001") // non-blocking
		packets := 0
		for {
			b := m.packet()
			packets++
			if b[0] != 0 {
				return fmt.Sprintf("%d packets, %q", packets, b)
			}
		}
	}
	direct := stream(server)
	addr, log := Front(t, mysql.Protocol, server, never(t, mysql.Protocol, "query"))
	equalLines(t, []string{direct}, []string{stream(addr)})
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}
