"""psycopg2: tells what calling each of a list of functions comes to."""
import sys

import psycopg2

c = psycopg2.connect(sys.argv[2])
for name in sys.argv[1].split(","):
    try:
        with c.cursor() as k:
            k.execute("SELECT %s()" % name)
            print(name, k.fetchall())
    except psycopg2.Error as e:
        print(name, type(e).__name__, type(e).__mro__[1].__name__, e.pgcode, e.diag.severity, e.diag.message_primary)
    c.rollback()
