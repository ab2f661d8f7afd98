// node-postgres: "work" is a bit of everything; any other task is a list of
// functions, of which it tells what calling them comes to.
process.noDeprecation = true // queries that queue up are meant
const { Client, Pool } = require('pg')
const [task, connectionString] = process.argv.slice(2)
const say = (...a) => console.log(JSON.stringify(a).slice(0, 600))
const tell = async (what, p) => {
  try {
    const r = await p
    for (const one of [].concat(r)) say(what, one.command, one.rowCount, one.rows.slice(0, 3).map(row => Object.values(row).map(v => String(v).slice(0, 40))))
  } catch (e) {
    say(what, e.constructor.name, e.code, e.severity, e.message)
  }
}

async function work () {
  const c = new Client({ connectionString })
  await c.connect()
  await tell('drop', c.query('DROP TABLE IF EXISTS n'))
  c.on('notice', n => say('notice', n.message))
  await tell('create', c.query('CREATE TABLE n (id int PRIMARY KEY, t text, j jsonb)'))
  await tell('insert', c.query('INSERT INTO n VALUES ($1, $2, $3)', [1, 'x', { a: 1 }]))
  await tell('again', c.query('INSERT INTO n VALUES ($1, $2)', [1, 'x']))
  await tell('large', c.query('INSERT INTO n VALUES ($1, $2)', [2, 'y'.repeat(300000)]))
  await tell('several', c.query('SELECT 1; SELECT 2; UPDATE n SET t = t WHERE id = 1'))
  await tell('several, one fails', c.query('SELECT 1; SELEC'))
  await tell('select', c.query('SELECT * FROM n ORDER BY id'))
  for (const id of [1, 2, 3]) await tell('named', c.query({ name: 'by id', text: 'SELECT id, t FROM n WHERE id = $1', values: [id] }))
  await Promise.all(Array.from({ length: 100 }, (_, i) => tell('queued', c.query('SELECT $1::int', [i]))))
  await tell('begin', c.query('BEGIN'))
  await tell('fails', c.query('SELECT 1/0'))
  await tell('aborted', c.query('SELECT 1'))
  await tell('commit', c.query('COMMIT'))
  await tell('notice', c.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"))
  const heard = new Promise(done => c.on('notification', n => { say('notified', n.channel, n.payload); done() }))
  await tell('listen', c.query('LISTEN news'))
  await tell('notify', c.query("NOTIFY news, 'now'"))
  await heard
  await c.end()
  const pool = new Pool({ connectionString, max: 4 })
  const sum = await Promise.all(Array.from({ length: 200 }, (_, i) => pool.query('SELECT $1::int AS i', [i])))
  say('pool', sum.reduce((a, r) => a + r.rows[0].i, 0))
  await pool.end()
}

async function call (names) {
  const c = new Client({ connectionString })
  c.on('error', e => say('connection', e.message))
  await c.connect()
  for (const name of names) {
    await tell(name, c.query(`SELECT ${name}()`))
    await tell(name + ', extended', c.query(`SELECT ${name}() WHERE $1`, [true]))
  }
  await c.end()
}

(task === 'work' ? work() : call(task.split(','))).catch(e => { say('failed', e.message); process.exit(1) })
