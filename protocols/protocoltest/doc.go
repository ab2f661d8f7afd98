// Package protocoltest runs a codec without a network.
//
// A codec's whole test is usually this, plus the scripts in its testdata:
//
//	func TestScripts(t *testing.T)  { protocoltest.Run(t, redis.Protocol, "testdata") }
//	func TestCaptures(t *testing.T) { protocoltest.Captures(t, redis.Protocol, "testdata") }
//	func TestHostile(t *testing.T)  { protocoltest.Hostile(t, redis.Protocol, "testdata") }
//	func FuzzDecode(f *testing.F)   { protocoltest.Fuzz(f, redis.Protocol, "testdata") }
//
// # Scripts
//
// A script is one connection, told line by line. A line that begins with a
// blank continues the one before it; a line that begins with # is a comment.
//
//	# SET is refused; GET, sent in the same breath, is answered in its turn
//	@ answer error message="disk full"
//	> "SET a 1\r\n" "GET b\r\n"
//	>> "GET b\r\n"
//	! "-ERR disk full\r\n"
//	= 1 SET key="a" end
//	= 2 GET key="b" end
//	< "$1\r\n2\r\n"
//	= 2 end
//
// Each > or < line is a step: bytes that one side sends. The lines below it, up to
// the next step, say what comes of it; every byte that either side hears is checked.
//
//	> BYTES    the client sends BYTES; the server hears the same unless >> says otherwise
//	< BYTES    the server sends BYTES; the client hears the same unless << or ! says otherwise
//	>> BYTES   all that the server hears in this step; nothing after >> means nothing
//	<< BYTES   all that the client hears in this step
//	! BYTES    the client hears BYTES of the codec's making: after what the server
//	           sent in this step, so write << where they come before or between
//	!> BYTES   the same for the server, after what the client sent in this step
//	= FRAME    a frame of this step, in order (see below); if a step has no = line
//	           its frames are not checked
//	= error "substring"   Decode failed; from here on everything is copied
//	@ FATE     what happens to the next frame that has items, in either direction,
//	           from the next step on
//
// # Bytes
//
// BYTES are any number of these, joined:
//
//	"a\r\n\x00"      a Go string          `raw`           a raw Go string
//	x"00 ff 7b"      hex, blanks allowed  be16:5 le32:-1  an integer (be|le, 8…64 bits)
//	"x"*70000        repeated             (…)*3           grouped, and repeated
//	[be32 …]         the content with its length in front of it
//	[be32+4 …]       the same, the length counting itself; [le24-1 …] counts one less
//
// So a PostgreSQL query is `"Q" [be32+4 "select 1\x00"]` and a MySQL ping is
// `[le24-1 x"00 0e"]`.
//
// # Fates
//
//	@ [N:] [after] answer error|value [name=value …]
//	@ [N:] [after] lose
//	@ [N:] [after] twice
//	@ pass
//
// Each @ line is for one frame with items; @ pass leaves one alone, and so do
// frames for which no @ line is left. Lines that follow each other with rising
// numbers N are for the items of one frame (from 1; those not named pass);
// without N the fate is for all its items. after means that the request goes
// through and its answer is replaced.
//
// The names are those of protocols.Reply: message= code= status= messages=
// value=JSON header:NAME= detail:NAME=. Values are plain words or Go strings;
// value= takes JSON without blanks, or as a Go string. The reply goes through
// Protocol.Check first. Ending the connection behind a reply with Close or
// Reset is the relay's business: a script goes on.
//
// # Frames
//
//	= ID [OP key="…" keys="a","b" text="…" NAME="…"] [| OP …] [err=CODE] FLAGS
//
// OP and what follows describe an item, | separates items, NAME is an
// attribute's; empty parts are left out, and so is the item part of a frame
// without items. FLAGS, in this order: end more oneway starttls tunnel
// missed raw back untouched. raw and back say that Frame.Raw or Frame.Back is set;
// untouched that a fate was decided for it and Apply changed nothing. Frames
// with ID 0 and nothing to tell are left out. When a script fails, what came
// out is printed in this notation.
//
// # How it is run
//
// The steps go to the codec as the relay (intercept/proxy) would hand them over,
// in the simplest form: one step at a time, no more than Protocol.Window bytes
// at once, Apply as the Codec contract says, replies held back until the answers
// to earlier exchanges have passed (unless the protocol is multiplexed), bytes
// overwritten as soon as they may be. After that the script is replayed with
// each step cut at every offset (long steps: at many), and in pieces of one byte:
// what both sides hear in each step and the items, errors and ends must be the same.
// For a protocol of datagrams a step is one datagram, and is not cut.
//
// Fuzz feeds any conversation in any chunks: no panic, no more consumed than
// there is, never stuck with a full window, and with no fate the bytes come
// out as they went in. It takes the scripts as seeds.
package protocoltest
