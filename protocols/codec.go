package protocols

// Dir is a direction on a connection.
type Dir uint8

const (
	ToServer Dir = iota // from the client to the server
	ToClient            // from the server to the client
)

// Opposite returns the other direction.
func (d Dir) Opposite() Dir { return d ^ 1 }

// String returns ">" for ToServer and "<" for ToClient.
func (d Dir) String() string { return [2]string{">", "<"}[d] }

// Codec follows one connection. It is called by one goroutine at a time.
//
// A codec never breaks a connection: what it does not understand it returns as
// a frame without items, and only when it has lost its place does Decode
// return an error, after which the relay forwards everything untouched.
type Codec interface {
	// Decode looks at the bytes that have arrived in direction d and have not
	// been consumed. It returns the frame at the front of buf and its length
	// in buf, or 0 when it needs more bytes. It may consume a message in
	// pieces (Frame.More) and must do so once buf reaches Protocol.Window.
	// buf and the returned frame are valid until the next call.
	//
	// A frame of 0 bytes that has an ID is an answer as well: what is at the
	// front of buf implies it (AMQP: basic.ack of many), and comes next.
	//
	// An error means that the codec cannot follow this connection any
	// further; its text is shown to the user once.
	Decode(d Dir, buf []byte) (f Frame, n int, err error)

	// Apply is told that frame f, whose bytes are raw, is not to be forwarded
	// as it came, because of fates: one for each item of the exchange's
	// request (or of f itself if f has items). It returns what goes to the
	// receiver of f in its place and what goes back to the sender of f.
	//
	// For a request (d ToServer): forward replaces the request, nil if the
	// server hears nothing; back is the whole answer that the client hears,
	// which the relay puts where the protocol's order wants it. If forward is
	// not nil and back is nil, the server's answer is awaited as usual (and
	// Decode may rewrite it through Frame.Raw).
	//
	// For an answer or a pushed message (d ToClient): forward replaces it for
	// the client; back goes to the server.
	//
	// The remaining frames of the same side of this exchange are withheld,
	// except those whose Raw is set, which go out as Raw. For Twice, raw is
	// the whole side of the exchange, from its first frame to its End.
	//
	// To have the connection closed behind an answer although the reply does
	// not ask for it (HTTP: Connection: close), Apply puts a copy of the reply
	// that does into its element of fates.
	//
	// An Apply that changes nothing returns raw itself and nil: the relay
	// then counts the fault as one that had nothing to act on. Where just
	// some of several fates come to nothing, Apply sets their Act to Pass.
	Apply(d Dir, f Frame, raw []byte, fates []Fate) (forward, back []byte)
}

// Withdrawer is a Codec that has to know that the server never sees a request,
// although Apply is not called: a fault ends the connection in its stead.
type Withdrawer interface {
	// Withdraw is told of the first frame of the newest request.
	Withdraw(f Frame)
}

// Gatherer is a Codec whose clients may wait for a word of the server's before
// they send the rest of a request.
type Gatherer interface {
	// Gather is told that nothing of the newest request, whose first frame is
	// f, goes on before it has come whole. It returns that word, nil for none.
	Gather(f Frame) []byte
}

// StreamCodec is a Codec whose messages can't go out at another place than the
// one they came at, for they are numbered in order and compressed against what
// came before (HTTP/2). The relay tells it what is delayed. It leaves to the
// codec the rest of a request that was answered (frames that come with ID 0),
// and the second copy for Twice: Apply is called with the first frame alone.
// Of an answer that a closing connection withholds, Apply is told with Lose.
type StreamCodec interface {
	Codec
	// Hold is told that b, what was to go out for the frame that Decode
	// returned last in direction d, waits while others pass, and with it all
	// that follows of that side of exchange id. It returns what waits in its
	// place.
	Hold(d Dir, id uint64, b []byte) []byte
	// Release returns what goes out now, in place of all that has waited. It
	// is also asked when the answer to a request that was answered is due.
	Release(d Dir, id uint64, held []byte) []byte
}

// Frame is a run of bytes that the relay forwards, or withholds, whole.
type Frame struct {
	// ID names the exchange: a request and its answer share it. IDs grow along
	// a connection in the order of the requests. 0: belongs to no exchange
	// (handshakes, keep-alives, notices).
	ID uint64
	// End marks the last frame of its side of the exchange. Unless the protocol
	// is multiplexed, an answer with ID n also ends every exchange before n:
	// the server skipped those (Postgres, after an error in a pipeline), and a
	// fault that was decided for one that no answer frame came for had nothing
	// to act on.
	End bool
	// More says that the message continues in the next frame of this
	// direction: nothing may be put on the wire between the two.
	More bool
	// Oneway marks a request that is not answered, or a pushed message. On the
	// End of an exchange that goes on it says that the other side ends too
	// (HTTP/2: the stream is reset); Err then says why.
	Oneway bool
	// Stream, if not 0, names a part of the connection within which nothing is
	// overtaken (an AMQP channel): what follows a delayed frame of the same
	// direction waits with it, although the protocol is multiplexed.
	// AllStreams: this frame, of no exchange, waits for all that is delayed.
	Stream uint64
	// Items is what rules match on, each an event of its own; usually one, on
	// the first frame of a request. A Kafka produce has one per message.
	Items []Item
	// Err is the server's error code, on the frame of an answer that carries it.
	Err string
	// Missed, on the End of an answer: the fault that Apply took on has found
	// nothing to act on after all (fewer messages than Reply.Messages).
	Missed bool
	// Raw, when not nil, is forwarded instead of the bytes as they came;
	// empty but not nil: nothing is forwarded.
	Raw []byte
	// Back is sent to the sender of this frame, between frames, at once.
	Back []byte
	// StartTLS says that after this frame both sides speak TLS.
	StartTLS bool
	// Tunnel says that after this frame the connection carries something this
	// codec does not speak (CONNECT, WebSocket, replication): the relay copies.
	Tunnel bool
}

// AllStreams is the Stream of a frame that ends the connection's work.
const AllStreams = ^uint64(0)

// Item is one thing that a client asks for, or that a server pushes.
type Item struct {
	Op   string   // command, method or API name, as the protocol's manual writes it
	Key  string   // key, topic, path, collection, subject
	Text string   // the statement in full where the protocol has one (SQL), else ""
	Keys []string // every key of a multi-key command, Key included; nil: just Key
	// Attrs are further fields by which rules can match: HTTP headers
	// ("header:content-type"), "database", "group", "exchange" …
	Attrs []Attr
	// Other is what else one event is about that has two ends to be matched by, such
	// as the file that a copying system call reads; nil for most.
	Other *Item
}

// Attr is a named field of an Item, or a header of a Reply.
type Attr struct{ Name, Value string }

// Attr returns the first value with that name, and whether there is one.
func (it *Item) Attr(name string) (string, bool) {
	for i := range it.Attrs {
		if it.Attrs[i].Name == name {
			return it.Attrs[i].Value, true
		}
	}
	return "", false
}

// Act is what happens to one item.
type Act uint8

const (
	Pass   Act = iota // goes on as it came
	Answer            // is not done (or its answer is not told); the client hears Reply
	Lose              // is withheld while its sender believes that it was taken
	Twice             // is done twice; its sender hears one answer
)

// Fate is what was decided for one item. Reply is set for Answer.
type Fate struct {
	Act   Act
	Reply *Reply
}

// Reply is what a client is to hear instead of the server's answer.
type Reply struct {
	Error   bool   // error(…): a failure, as the protocol writes one; else response(…)
	Message string // error text
	Code    string // the protocol's own error code: SQLSTATE, errno, name or number
	Status  int    // HTTP or gRPC status; 0: the protocol's default
	Headers []Attr
	// Value is the answer of response(…): nil, string, int64, float64, bool,
	// []any or map[string]any. For HTTP it is the body.
	Value any
	// Details holds protocol-specific further fields (Postgres: "severity",
	// "detail", "hint"; gRPC: "details").
	Details map[string]string
	// Messages is how many messages of a streamed answer pass before the
	// reply takes over (gRPC); 0: none.
	Messages int
	// Close: the connection is closed behind the reply (Postgres FATAL, raw
	// TCP). Reset: it is reset. Check sets them.
	Close, Reset bool
}
