// The mysql2 driver: "work" is a bit of everything; any other
// task is a list of functions, of which it tells what calling them comes to.
const mysql = require('mysql2/promise');
const { Readable } = require('stream');
const [task, host, port, user, password, database] = process.argv.slice(2);
const say = (...a) => console.log(JSON.stringify(a).slice(0, 600));
const shape = v => Array.isArray(v) ? v.map(shape) : Buffer.isBuffer(v) ? 'bytes ' + v.length
  : v && v.constructor.name === 'ResultSetHeader' ? { rows: v.affectedRows, id: v.insertId, status: v.serverStatus, info: v.info } : v;
const tell = async p => { try { const [r] = await p; say(shape(r)); } catch (e) { say(e.code, e.errno, e.sqlState, e.message); } };
const login = { host, port: +port, user, password, database, multipleStatements: true, infileStreamFactory: p => Readable.from(p === 'good' ? [Buffer.from('1\n'.repeat(20000)), Buffer.from('2\n')] : [], { objectMode: false }) };

async function work(options) {
  const c = await mysql.createConnection({ ...login, ...options });
  await tell(c.query('DROP TABLE IF EXISTS n'));
  await tell(c.query('CREATE TABLE n (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT)'));
  await tell(c.query('INSERT INTO n (t) VALUES (?), (?), (NULL)', ['', 'x'.repeat(200000)]));
  await tell(c.execute('INSERT INTO n (t) VALUES (?)', ['prepared']));
  await tell(c.execute('INSERT INTO n (id) VALUES (?)', [1]));
  await tell(c.execute('SELECT id, length(t) l, t FROM n WHERE id <> ?', [2]));
  for (let i = 0; i < 3; i++) await tell(c.execute('SELECT ? AS a, ? AS b', [i, null]));
  await tell(c.query('SELECT 1; SELECT "" AS e; UPDATE n SET t = "y" WHERE id = 1; SELECT NULL'));
  await tell(c.query('SELECT 1; SELEC'));
  await tell(c.query({ sql: 'LOAD DATA LOCAL INFILE "good" INTO TABLE n (t)', infileStreamFactory: () => login.infileStreamFactory('good') }));
  await tell(c.query('SELECT count(*) k FROM n'));
  await c.beginTransaction(); await tell(c.query('DELETE FROM n')); await c.rollback();
  await tell(c.query('SELECT count(*) k FROM n'));
  await tell(Promise.all([c.query('SELECT 1'), c.query('SELECT 2'), c.execute('SELECT 3')]).then(r => [r.map(x => x[0])]));
  const s = await c.prepare('SELECT ? + 1 AS n');
  await tell(s.execute([1])); await tell(s.execute([41])); await s.close();
  await c.changeUser({ user, password, database: 'mysql' });
  await tell(c.query('SELECT database() d'));
  await c.ping(); await c.reset();
  await tell(c.query('SELECT database() d'));
  await tell(c.query('SELECT * FROM nothing'));
  await c.end();
}

async function faults(names) {
  for (const name of names) {
    for (const run of ['query', 'execute']) {
      const c = await mysql.createConnection(login);
      await tell(c[run](`SELECT ${name}()`).then(([r]) => [Array.isArray(r) ? r : 'done']));
      await tell(c.query('SELECT 1'));
      c.destroy();
    }
  }
}

(async () => {
  if (task === 'work') for (const options of [{}, { compress: true }]) await work(options); else await faults(task.split(','));
  process.exit(0);
})().catch(e => { console.log(e); process.exit(1); });
