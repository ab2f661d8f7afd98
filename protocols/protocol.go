package protocols

// Protocol is what faultbox knows about one wire protocol.
type Protocol struct {
	Name string // as written in interface(name, protocol, port)
	Doc  string // one line: what it is, which products speak it
	Port int    // the usual port

	// Fields maps each matcher keyword that a spec may use ("query", "key") to
	// the part of an Item that it looks at.
	Fields map[string]Field
	// Faults are the fault builtins that make sense here: "error", "response",
	// "delay", "drop", "duplicate", "truncate", "reset".
	Faults []string

	// Datagram: it is carried by UDP. Decode is given one datagram at a time, of
	// any length, and takes it whole; what goes out, or back, is one datagram too.
	// More, Stream, StartTLS, Tunnel and Window mean nothing. The relay does Twice.
	Datagram bool
	// Stream is how a protocol of datagrams is carried by TCP, on the same port;
	// Name, Multiplexed, Window and New are used. nil: such connections are left alone.
	Stream *Protocol
	// Multiplexed: answers come in any order, so a delay holds its own
	// exchange alone and an injected answer goes out at once.
	Multiplexed bool
	// Lossy: drop loses the message (Lose) instead of closing the connection.
	Lossy bool
	// ServerFirst: the server may speak before the client does.
	ServerFirst bool
	// UpgradesTLS: TLS begins inside the protocol (Frame.StartTLS), not with
	// the first byte.
	UpgradesTLS bool
	// ALPN are the protocols within TLS that the codec follows. What else a
	// client offers is not passed on if it offers one of these; nil: anything.
	ALPN []string
	// Window is how many unconsumed bytes the codec may ask to see at once;
	// 0 means DefaultWindow.
	Window int

	// Check validates a reply when the spec is loaded and completes it: it
	// infers Code from Message, sets a default Status. Its error says what is
	// wrong and what is allowed. nil: every reply is fine as it is.
	Check func(*Reply) error
	// New returns the codec of a new connection.
	New func() Codec
	// Shared, if any, returns a New whose codecs tell each other what holds on
	// all connections of one system (Kafka: the names behind topic ids).
	Shared func() (new func() Codec)
}

// OfSystem returns the protocol for the connections of one system: their codecs
// share what they learn.
func (p *Protocol) OfSystem() *Protocol {
	if p.Shared == nil {
		return p
	}
	own := *p
	own.New = p.Shared()
	return &own
}

// DefaultWindow is the number of bytes after which a codec must consume.
const DefaultWindow = 64 << 10

// Field says how one matcher keyword looks at an Item.
type Field struct {
	// Of names the part: "op", "key", "text", or an Attr's name. A name that
	// ends in ":" is a prefix, completed by the key of a dict (headers={…}).
	Of string
	// Pick, if any, chooses Of by the pattern (HTTP: a path pattern with a "?"
	// looks at the query too). It is asked once, when the matcher is compiled.
	Pick func(pattern string) string
	// Fold ignores the case of letters.
	Fold bool
	// Bytes: it is no text; a character of the pattern is a byte.
	Bytes bool
	// Values, if any, are all that a pattern may be: there are no others to match.
	Values []string
	// Normalize, if any, is applied to pattern and value before they are
	// compared (SQL: blanks, comments, the trailing semicolon).
	Normalize func(string) string
	// Wild, if any, matches pattern against value with the protocol's own
	// wildcards (NATS, AMQP), tried when the plain glob does not match.
	Wild func(pattern, value string) bool
}

// The fields that most protocols share.
var (
	OpField  = Field{Of: "op", Fold: true}
	KeyField = Field{Of: "key"}
)
