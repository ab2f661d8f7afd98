package drivers

import (
	"strings"
	"testing"

	"faultbox/protocols/memcached"
)

// TestMemcachedForms: response(…) without a value is what the server itself
// answers when there is nothing, and one with a value what it answers to a hit.
func TestMemcachedForms(t *testing.T) {
	server := Memcached(t)
	Struck(t, memcached.Protocol, server, "raw", "nothing, and a value, in the form of every command, flags and quiet ones too")
	rawMemcached(t, server, "set there 0 0 2\r\n42\r\nms dGhlcmUB 2 b\r\n42\r\nmn\r\n", "MN\r\n")
	addr, _ := Front(t, memcached.Protocol, server,
		memcachedRule(t, memcachedValue(nil), "key", "nil*"),
		memcachedRule(t, memcachedValue("42"), "key", "there*"))
	for _, command := range []string{
		"get nil", "gets nil", "get nil nil2", "gat 10 nil", "gats 10 nil nil2", "touch nil 10", "delete nil", "incr nil 1", "decr nil 1",
		"replace nil 0 0 1\r\nx", "append nil 0 0 1\r\nx", "prepend nil 0 0 1\r\nx", "cas nil 0 0 1 7\r\nx",
		"mg nil", "mg nil v", "mg nil v q", "mg nil v k O1", "mg nil v k q O1", "mg nil s t f c v", "mg bmls b v k", "mg bmls b k O1 q", "mg nil t O12 k",
		"md nil", "md nil q", "md nil O1 k", "md nil q O1 k", "md bmls O1 b", "ma nil", "ma nil q", "ma nil v O1 k", "ma nil q k v",
		"ms nil 1 MR\r\nx", "ms nil 1 MA\r\nx", "ms nil 1 MR O1 k q\r\nx", "ms nil 1 MP k O7\r\nx", "me nil",
		"get nil noreply", "delete nil noreply", "touch nil 1 noreply",

		"get there", "get there there", "gat 0 there", "incr there 0", "touch there 0", "set there 0 0 2\r\n42", "mg there", "mg there v", "mg there v q", "mg there q", "mg there k O1",
		"mg there t f s v k O9", "mg dGhlcmUB b v k", "mg dGhlcmUB b k", "ms there 2\r\n42", "ms there 2 q\r\n42", "ms there 2 k O1\r\n42", "ma there D0", "ma there D0 v k", "ma there D0 q v",
		"delete there", "md there q", "md there k O1",
	} {
		rawMemcached(t, server, "set there 0 0 2\r\n42\r\nmn\r\n", "MN\r\n")
		answer := func(addr string) string {
			return rawMemcached(t, addr, command+"\r\nmn\r\n", "MN\r\n")
		}
		if got, want := answer(addr), answer(server); got != want {
			t.Errorf("%s: %q, and the server itself %q", strings.ReplaceAll(command, "\r\n", "|"), got, want)
		}
	}
}
