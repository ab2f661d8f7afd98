package drivers

import (
	"net"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols/nats"
)

// natsScript uses the Node client and prints one line for each thing it saw.
const natsScript = `
const { connect, headers, StringCodec, consumerOpts } = require('nats');
const [host, port, name] = [process.argv[2], +process.argv[3], process.argv[4]];
const sc = StringCodec();
const say = (...a) => console.log(JSON.stringify(a).replaceAll(name, 'NAME'));
const tell = async (what, p) => { try { const v = await p; say(what, v && v.data ? sc.decode(v.data) : v); } catch (e) { say(what, e.name, e.code, e.message, e.api_error); } };
(async () => {
  const nc = await connect({ servers: host + ':' + port, reconnect: false });
  (async () => { for await (const s of nc.status()) say('status', s.type, String(s.data)); })();
  const sub = nc.subscribe('n.>', { max: 4 });
  const got = (async () => { for await (const m of sub) say(m.subject, m.data.length, m.headers ? m.headers.get('A') : null); })();
  nc.publish('n.a', sc.encode('plain'));
  const h = headers(); h.set('A', 'b');
  nc.publish('n.b', sc.encode('with headers'), { headers: h });
  nc.publish('n.c');
  nc.publish('n.d', new Uint8Array(900000));
  await Promise.race([got, new Promise(done => setTimeout(done, 1500))]); // one may be lost
  const echo = nc.subscribe('n2.echo', { queue: 'q', callback: (e, m) => { if (!e) m.respond(m.data); } });
  await tell('request', nc.request('n2.echo', sc.encode('hello'), { timeout: 1500 }));
  await tell('no mux', nc.request('n2.echo', sc.encode('hello'), { timeout: 1500, noMux: true, reply: 'my.inbox' }));
  await tell('nobody', nc.request('n2.nobody', sc.encode('x'), { timeout: 1500 }));
  await tell('many', Promise.all(Array.from({ length: 300 }, (_, i) => nc.request('n2.echo', sc.encode(String(i)), { timeout: 1500 }).then(m => sc.decode(m.data)))));
  const jsm = await nc.jetstreamManager();
  await tell('no stream', jsm.streams.info(name));
  await jsm.streams.add({ name, subjects: [name + '.>'] });
  const js = nc.jetstream();
  await tell('publish', js.publish(name + '.a', sc.encode('1'), { msgID: 'x' }));
  await tell('again', js.publish(name + '.a', sc.encode('1'), { msgID: 'x' }));
  await tell('expected', js.publish(name + '.a', sc.encode('2'), { expect: { lastSequence: 99 } }));
  await jsm.consumers.add(name, { durable_name: 'c', ack_policy: 'explicit' });
  const c = await js.consumers.get(name, 'c');
  const m = await c.next({ expires: 2000 });
  say('next', m.subject, sc.decode(m.data), await m.ackAck());
  await tell('none', c.next({ expires: 1000 }));
  await nc.drain();
  process.exit(0);
})().catch(e => { say('failed', e.name, e.code, e.message); process.exit(0); });
`

func natsNode(t testing.TB, modules, addr, name string) []string {
	host, port, _ := net.SplitHostPort(addr)
	return node(t, modules, natsScript, host, port, name)
}

func TestNodeNATSUntouched(t *testing.T) {
	modules := npm(t, "nats", "nats")
	EachNATS(t, func(t *testing.T, server string) {
		Compared(t, nats.Protocol, server, "nats (Node)", "publish, subscribe, headers, payloads of 900 KB", "300 requests at once, no responders", "JetStream: publish, next, errors")
		addr, log := Front(t, nats.Protocol, server, never(t, nats.Protocol, "topic"))
		equalLines(t, natsNode(t, modules, server, "DIRECT"), natsNode(t, modules, addr, "ARMED"))
		if notes := log.Notes(); len(notes) > 0 {
			t.Errorf("notes: %q", notes)
		}
	})
}

func TestNodeNATSFaults(t *testing.T) {
	modules := npm(t, "nats", "nats")
	for _, c := range []struct {
		topic, name string
		fault       intercept.Fault
		want        string // a line of what it prints begins with this
	}{
		{"n2.echo", "error", natsError("", ""), `["request","NatsError","503"`},
		{"n2.echo", "error after", after(natsError("", "")), `["request","NatsError","503"`},
		{"n.a", "error", natsError("", ""), `["status","error","PERMISSIONS_VIOLATION"]`},
		{"n2.echo", "drop", intercept.Fault{Do: intercept.Lose}, `["request","NatsError","TIMEOUT"`},
		{"NAME.a", "JetStream: disk full", natsError("disk full", ""), `["publish","NatsError","500","disk full",{"code":500,"err_code":10047,"description":"disk full"}]`},
		{"NAME.a", "JetStream: not enabled", natsError("", "10076"), `["publish","NatsError","503","503",{"code":503,"err_code":10076,"description":"jetstream not enabled"}]`},
		{"n2.echo", "authorization violation", natsError("", "AUTHORIZATION_VIOLATION"), `["status","error","AUTHORIZATION_VIOLATION"]`},
		{"n.d", "duplicate", intercept.Fault{Do: intercept.Twice}, `["n.d",900000,null]`},
	} {
		t.Run(c.topic+" "+c.name, func(t *testing.T) {
			server := NATS(t)
			Struck(t, nats.Protocol, server, "nats (Node)", c.topic+": "+c.name)
			addr, _ := Front(t, nats.Protocol, server, intercept.Rule{Match: Match(t, nats.Protocol, "topic", c.topic, "method", "PUB"), Fault: c.fault})
			got := natsNode(t, modules, addr, "NAME")
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
				t.Errorf("no line %s in\n%.3000s", c.want, strings.Join(got, "\n"))
			}
		})
	}
}
