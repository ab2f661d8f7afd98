package drivers

import (
	"net"
	"testing"

	"faultbox/protocols/redis"
)

// nodeScript uses both clients and prints one line for each thing it saw.
const nodeScript = `
const Redis = require('ioredis'), node = require('redis');
const [host, port, version] = [process.argv[2], +process.argv[3], +process.argv[4]];
const say = (...a) => console.log(JSON.stringify(a));
const tell = async p => { try { say(await p); } catch (e) { say(e.message); } };
(async () => {
  const io = new Redis({ host, port, retryStrategy: null, maxRetriesPerRequest: 0 });
  io.on('error', e => say('ioredis', e.message));
  await tell(io.flushall());
  await tell(io.set('a', 1));
  await tell(io.mget('a', 'none'));
  await tell(io.lpush('a', 1));
  await tell(io.hset('h', 'f', 'v'));
  await tell(io.hgetall('h'));
  const p = io.pipeline();
  for (let i = 0; i < 5000; i++) p.incr('n');
  await tell(p.exec());
  await tell(io.multi().incr('n').lpush('a', 1).get('n').exec());
  const sub = io.duplicate();
  sub.on('error', e => say('ioredis', e.message));
  const heard = new Promise(done => sub.on('message', (c, m) => { say(c, m); if (m === 'last') done(); }));
  await tell(sub.subscribe('x', 'y'));
  await io.publish('x', 'first');
  await io.publish('y', 'last');
  await heard;
  await tell(sub.unsubscribe());
  sub.disconnect(); io.disconnect();

  const c = node.createClient({ socket: { host, port, reconnectStrategy: false }, RESP: version });
  c.on('error', e => say('redis', e.message));
  await c.connect();
  await tell(c.set('a', '1'));
  await tell(c.hGetAll('h'));
  await tell(c.lPush('a', '1'));
  await tell(Promise.all(Array.from({ length: 5000 }, () => c.incr('n'))));
  await tell(c.multi().incr('n').get('a').exec());
  await tell(c.multi().addCommand(['NOSUCH']).exec());
  const s = c.duplicate();
  s.on('error', e => say('redis', e.message));
  await s.connect();
  const pheard = new Promise(done => s.pSubscribe('p*', (m, ch) => { say(ch, m); done(); }).then(() => c.publish('px', 'hello')));
  await pheard;
  await tell(s.pUnsubscribe());
  process.exit(0);
})();
`

func TestNodeRedisUntouched(t *testing.T) { EachRedis(t, nodeRedisUntouched) }

func nodeRedisUntouched(t *testing.T, server string) {
	for _, client := range []string{"ioredis", "node-redis"} {
		Compared(t, redis.Protocol, server, client, "commands", "a pipeline of 5,000", "MULTI/EXEC", "SUBSCRIBE, PSUBSCRIBE", "errors")
	}
	addr, log := Front(t, redis.Protocol, server, never(t, redis.Protocol, "key"))
	modules := npm(t, "redis", "ioredis", "redis")
	for _, version := range []string{"2", "3"} {
		run := func(addr string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return node(t, modules, nodeScript, host, port, version)
		}
		equalLines(t, run(server), run(addr))
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}
