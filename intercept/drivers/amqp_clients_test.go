package drivers

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols/amqp"
)

func commandOutput(t testing.TB, words ...string) (string, error) {
	out, err := exec.CommandContext(t.Context(), lookPath(t, words[0], "amqp-tools"), words[1:]...).CombinedOutput()
	return string(out), err
}

// amqpNodeScript uses amqplib and prints one line for each thing it saw.
const amqpNodeScript = `
const amqp = require('amqplib');
const [host, port, q] = [process.argv[2], +process.argv[3], process.argv[4]];
const say = (...a) => console.log(JSON.stringify(a).replaceAll(q, 'QUEUE'));
const tell = async (what, p) => { try { say(what, await p); } catch (e) { say(what, e.code, e.message); } };
(async () => {
  const conn = await amqp.connect({ hostname: host, port, username: 'guest', password: 'guest' });
  conn.on('error', e => say('connection error', e.code, e.message));
  conn.on('close', () => say('connection closed'));
  const open = async () => { const c = await conn.createChannel(); c.on('error', e => say('channel error', e.code, e.message)); return c; };
  const ch = await open();
  await tell('queue', ch.assertQueue(q, { durable: true }));
  await tell('exchange', ch.assertExchange(q, 'topic'));
  await tell('bind', ch.bindQueue(q, q, 'a.#'));
  for (const body of ['one', '', 'x'.repeat(400000)]) ch.publish(q, 'a.b', Buffer.from(body), { headers: { h: body.length } });
  for (let i = 0; i < 4; i++) { const m = await ch.get(q); say('get', m && m.fields, m && m.content.length, m && m.properties.headers); if (m) ch.ack(m); }
  const c = await conn.createConfirmChannel();
  c.on('error', e => say('channel error', e.code, e.message));
  const results = [];
  for (let i = 0; i < 500; i++) c.publish(q, 'a.' + i, Buffer.from(String(i)), {}, e => results.push(e ? i + ' ' + e.message : i));
  await c.waitForConfirms().catch(e => say('confirms', e.message));
  while (results.length < 500) await new Promise(done => setTimeout(done, 10));
  say('confirmed', results.length, results.filter(r => typeof r === 'string'));
  c.on('return', m => say('returned', m.fields, m.content.length));
  c.publish(q, 'nowhere', Buffer.from('x'), { mandatory: true });
  await tell('confirms', c.waitForConfirms());
  let n = 0;
  await new Promise(async done => {
    const timer = setTimeout(() => { say('not all came', n); done(); }, 3000);
    await ch.prefetch(50);
    await ch.consume(q, m => { if (!m) return say('cancelled'); n++; ch.ack(m); if (m.fields.routingKey === 'a.499') { clearTimeout(timer); done(); } }, { consumerTag: 'me' });
  });
  say('consumed', n);
  await tell('no queue', (await open()).checkQueue('none'));
  await tell('other', (await open()).assertQueue(q, { durable: false }));
  await tell('cancel', ch.cancel('me'));
  await tell('delete', ch.deleteQueue(q));
  await tell('close', ch.close());
  await tell('close', conn.close());
})().catch(e => { say('failed', e.code, e.message); process.exit(0); });
process.on('uncaughtException', e => { say('uncaught', e.code, e.message); process.exit(0); });
`

// amqpPythonScript uses pika and kombu.
const amqpPythonScript = `
import sys, pika, kombu
host, port, q = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def say(*a): print(*[str(x).replace(q, 'QUEUE').replace('\n', ' ') for x in a], flush=True)
def tell(what, f):
    try: say(what, f())
    except Exception as e: say(what, type(e).__name__, e)
def connect(): return pika.BlockingConnection(pika.ConnectionParameters(host, port, credentials=pika.PlainCredentials('guest', 'guest')))
conn = connect()
ch = conn.channel()
tell('queue', lambda: ch.queue_declare(q, durable=True).method)
tell('exchange', lambda: ch.exchange_declare(q, 'topic').method)
tell('bind', lambda: ch.queue_bind(q, q, 'a.#').method)
for body in (b'one', b'', b'x' * 400000):
    ch.basic_publish(q, 'a.b', body, pika.BasicProperties(headers={'h': len(body)}))
for _ in range(4):
    m, p, body = ch.basic_get(q)
    say('get', m, p and p.headers, body and len(body))
    if m: ch.basic_ack(m.delivery_tag)
c = conn.channel()
c.confirm_delivery()
def publish(key, mandatory=False):
    try: return c.basic_publish(q, key, b'x', mandatory=mandatory)
    except pika.exceptions.AMQPError as e: return type(e).__name__
say('published', [(i, r) for i, r in ((i, publish('a.%d' % i)) for i in range(200)) if r is not None])
say('nowhere', publish('nowhere', True))
n = 0
for m, p, body in ch.consume(q, inactivity_timeout=2):
    if m is None: break
    n += 1
    ch.basic_ack(m.delivery_tag)
    if m.routing_key == 'a.199': break
tell('cancel', lambda: ch.cancel())
say('consumed', n)
tell('no queue', lambda: conn.channel().queue_declare('none', passive=True))
tell('other', lambda: conn.channel().queue_declare(q, durable=False))
t = conn.channel()
t.tx_select()
t.basic_publish(q, 'a.tx', b'x')
tell('commit', lambda: t.tx_commit().method)
tell('closed', lambda: conn.close())
tell('delete', lambda: connect().channel().queue_delete(q).method)
with kombu.Connection('amqp://guest:guest@%s:%d//' % (host, port)) as k:
    def simple():
        s = k.SimpleQueue(q + '.kombu')
        for i in range(20): s.put({'n': i})
        got = []
        for _ in range(20):
            m = s.get(timeout=5)
            got.append(m.payload['n'])
            m.ack()
        s.close()
        return got
    tell('kombu', simple)
    tell('kombu none', lambda: k.default_channel.queue_declare('none', passive=True))
    k.default_channel.queue_delete(q + '.kombu')
`

func amqpNode(t testing.TB, addr, q string) []string {
	host, port, _ := net.SplitHostPort(addr)
	return node(t, npm(t, "amqp", "amqplib"), amqpNodeScript, host, port, q)
}

func amqpPython(t testing.TB, addr, q string) []string {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if exec.Command(python, "-c", "import pika, kombu").Run() != nil {
		t.Skip("needs pika and kombu: apt-get install -y --no-install-recommends python3-pika python3-kombu")
	}
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(t.Context(), python, "-c", amqpPythonScript, host, port, q).CombinedOutput()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func amqpClientUntouched(t *testing.T, server, name string, client func(testing.TB, string, string) []string) {
	Compared(t, amqp.Protocol, server, name, "declare, bind, publish, get", "consume", "confirms", "mandatory, return", "errors that close channels")
	addr, log := Front(t, amqp.Protocol, server, never(t, amqp.Protocol, "topic"))
	q := strings.ReplaceAll(t.Name(), "/", ".")
	equalLines(t, client(t, server, q), client(t, addr, q))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

func nodeAMQPUntouched(t *testing.T, server string) {
	amqpClientUntouched(t, server, "amqplib", amqpNode)
}
func pythonAMQPUntouched(t *testing.T, server string) {
	amqpClientUntouched(t, server, "pika, kombu", amqpPython)
}

// amqpClientFault is a fault and the line that a client prints of it.
type amqpClientFault struct {
	name  string
	match []string
	fault intercept.Fault
	want  string
}

func amqpClientFaults(t *testing.T, server, name string, client func(testing.TB, string, string) []string, cases []amqpClientFault) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, amqp.Protocol, server, name, c.name)
			addr, log := Front(t, amqp.Protocol, server, intercept.Rule{Match: Match(t, amqp.Protocol, c.match...), Fault: c.fault})
			got := client(t, addr, strings.ReplaceAll(t.Name(), "/", "."))
			if !slices.Contains(got, c.want) {
				t.Errorf("no line %s in\n%.4000s", c.want, strings.Join(got, "\n"))
			}
			if log.Tally()[0].Acted() == 0 {
				t.Error("the rule has not acted")
			}
		})
	}
}

func nodeAMQPFaults(t *testing.T, server string) {
	amqpClientFaults(t, server, "amqplib", amqpNode, []amqpClientFault{
		{"nack", []string{"topic", "a.7", "method", "basic.publish"}, amqpFault("disk full", ""), `["confirmed",500,["7 message nacked"]]`},
		{"nack after", []string{"topic", "a.7", "method", "basic.publish"}, after(amqpFault("", "")), `["confirmed",500,["7 message nacked"]]`},
		{"lost", []string{"topic", "a.7"}, intercept.Fault{Do: intercept.Lose}, `["consumed",499]`},
		{"a delivery is lost", []string{"topic", "a.7", "method", "basic.deliver"}, intercept.Fault{Do: intercept.Lose}, `["consumed",499]`},
		{"twice", []string{"topic", "a.7", "method", "basic.publish"}, intercept.Fault{Do: intercept.Twice}, `["consumed",501]`},
		{"a delivery comes twice", []string{"topic", "a.7", "method", "basic.deliver"}, intercept.Fault{Do: intercept.Twice}, `["consumed",501]`},
		{"channel closed", []string{"method", "queue.declare", "key", "none"}, amqpFault("", "403"),
			`["no queue",403,"Operation failed: QueueDeclare; 403 (ACCESS-REFUSED) with message \"ACCESS_REFUSED - access to queue 'none' in vhost '/' refused\""]`},
		{"connection closed", []string{"method", "exchange.declare"}, amqpFault("", "541"),
			`["connection error",541,"Connection closed: 541 (INTERNAL-ERROR) with message \"INTERNAL_ERROR - injected fault\""]`},
	})
}

func pythonAMQPFaults(t *testing.T, server string) {
	amqpClientFaults(t, server, "pika, kombu", amqpPython, []amqpClientFault{
		{"nack", []string{"topic", "a.7"}, amqpFault("disk full", ""), "published [(7, 'NackError')]"},
		{"nack after", []string{"topic", "a.7", "method", "basic.publish"}, after(amqpFault("", "")), "published [(7, 'NackError')]"},
		{"lost", []string{"topic", "a.7"}, intercept.Fault{Do: intercept.Lose}, "consumed 199"},
		{"a delivery comes twice", []string{"topic", "a.7", "method", "basic.deliver"}, intercept.Fault{Do: intercept.Twice}, "consumed 201"},
		{"channel closed", []string{"method", "queue.declare", "key", "none"}, amqpFault("", "405"),
			`no queue ChannelClosedByBroker (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'none' in vhost '/'")`},
		{"commit", []string{"method", "tx.commit"}, amqpFault("it broke", "406"), "commit ChannelClosedByBroker (406, 'PRECONDITION_FAILED - it broke')"},
		{"kombu", []string{"topic", "*.kombu", "method", "basic.publish"}, amqpFault("", "404"), "kombu NotFound Basic.publish: (404) NOT_FOUND - no exchange 'QUEUE.kombu' in vhost '/'"},
	})
}
