"""PyMySQL: "work" is a bit of everything; any other task is a list of
functions, of which it tells what calling them comes to."""
import sys

import pymysql

task, host, port, user, password, database = sys.argv[1:]


def connect(**options):
    return pymysql.connect(host=host, port=int(port), user=user, password=password, database=database, charset="utf8mb4", local_infile=True, **options)


def tell(do):
    try:
        print(repr(do())[:600])
    except pymysql.Error as e:
        print(type(e).__name__, e.args)


def run(cursor, sql, *args):
    def do():
        n = cursor.execute(sql, args)
        return n, cursor.lastrowid, cursor.fetchall()
    tell(do)


def work():
    c = connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
    k = c.cursor()
    run(k, "DROP TABLE IF EXISTS y")
    run(k, "CREATE TABLE y (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT)")
    run(k, "INSERT INTO y (t) VALUES (%s), (NULL), (%s)", "", "x" * 100000)
    tell(lambda: k.executemany("INSERT INTO y (t) VALUES (%s)", [("t%d" % i,) for i in range(500)]))
    c.commit()
    run(k, "INSERT INTO y VALUES (1, 'dup')")
    run(k, "SELECT id, length(t) FROM y WHERE id < 9")
    run(k, "SELECT 1; SELECT ''; SELEC")
    while True:
        try:
            if not k.nextset():
                break
            print(k.fetchall())
        except pymysql.Error as e:
            print(type(e).__name__, e.args)
            break
    run(k, "SELECT * FROM none")
    s = c.cursor(pymysql.cursors.SSCursor)
    s.execute("SELECT a.id FROM y a, y b WHERE a.id < 50")
    print(sum(r[0] for r in s))
    s.close()
    c.begin()
    run(k, "DELETE FROM y")
    c.rollback()
    run(k, "SELECT count(*) FROM y")
    run(k, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE y (t)")
    run(k, "LOAD DATA LOCAL INFILE '/no/such' INTO TABLE y (t)")
    tell(lambda: c.ping(reconnect=False))
    tell(lambda: c.select_db("nowhere"))
    tell(lambda: c.show_warnings())
    c.close()


def faults():
    for name in task.split(","):
        c = connect()
        run(c.cursor(), "SELECT %s()" % name)
        run(c.cursor(), "SELECT 1")


{"work": work}.get(task, faults)()
