package sqltext

import (
	"slices"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 1":                          "SELECT 1",
		"  SELECT\n\t 1 ; ;\n":              "SELECT 1",
		"-- who\nSELECT /* a /* b */ c */1": "SELECT 1",
		"SELECT a/**/b":                     "SELECT a b",
		"SELECT '--  x  /*', \"a  ;\"":      "SELECT '--  x  /*', \"a  ;\"",
		"SELECT 'it''s  ',  1":              "SELECT 'it''s  ', 1",
		`SELECT E'a\'  --',  1`:             `SELECT E'a\'  --', 1`,
		`SELECT 'a\',  1`:                   `SELECT 'a\', 1`,
		"SELECT $$a  --b$$,  $x$ $$ ; $x$;": "SELECT $$a  --b$$, $x$ $$ ; $x$",
		"SELECT $1,  $2":                    "SELECT $1, $2",
		"SELECT j #>  '{a}' # 2":            "SELECT j #> '{a}' # 2",
		"SELECT a /* never  ends":           "SELECT a /* never  ends",
		"SELECT 1 -- end;":                  "SELECT 1",
		"INSERT*":                           "INSERT*",
		"":                                  "",
		" ; ":                               "",
	} {
		if got := Normalize(in); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"SELECT 1 # why\n, 2":               "SELECT 1 , 2",
		"SELECT 'a\\'  # x',  `b  #c`":      "SELECT 'a\\'  # x', `b  #c`",
		"/*!40101 SET  a=1 */;":             "/*!40101 SET  a=1 */",
		"SELECT 5--3 -- x":                  "SELECT 5--3",
		"SELECT \"a\\\"  -- b\"  -- c\n, 1": "SELECT \"a\\\"  -- b\" , 1",
	} {
		if got := MySQL.Normalize(in); got != want {
			t.Errorf("MySQL.Normalize(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, sql := range []string{"SELECT a, 'b  c' FROM d WHERE e = $1", "  UPDATE a SET b = 1;\n"} {
		if n := testing.AllocsPerRun(100, func() { Normalize(sql); Verb(sql) }); n != 0 {
			t.Errorf("Normalize and Verb of %q allocate %v times", sql, n)
		}
	}
}

func TestVerb(t *testing.T) {
	for in, want := range map[string]string{
		"select 1": "SELECT", " /* x */ (SELECT 1)": "SELECT", "-- a\ninsert into b": "INSERT",
		"Frobnicate x": "FROBNICATE", "": "", "'x'": "", ";; BEGIN": "BEGIN", "commit;": "COMMIT",
	} {
		if got := Verb(in); got != want {
			t.Errorf("Verb(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTables(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT 1": "",
		"INSERT INTO users (a) VALUES ('from x')":                "users",
		"select * from a, b x join \"C d\" on true where 1=1":    "a b C d",
		"UPDATE ONLY public.t SET a = 1":                         "public.t",
		"INSERT INTO a VALUES (1) ON CONFLICT DO UPDATE SET x=1": "a",
		"SELECT * FROM a FOR UPDATE NOWAIT":                      "a",
		"DELETE FROM \"s\".\"t\" WHERE x IN (SELECT y FROM u)":   "s.t u",
		"COPY t (a) FROM STDIN":                                  "t",
		"CREATE TABLE IF NOT EXISTS t (a int)":                   "t",
		"TRUNCATE TABLE t":                                       "t",
		"SELECT * FROM (SELECT 1) x":                             "",
		"SELECT a FROM t; SELECT b FROM t":                       "t",
	} {
		if got := strings.Join(Tables(in), " "); got != want {
			t.Errorf("Tables(%q) = %q, want %q", in, got, want)
		}
	}
	if got := MySQL.Table("SELECT 1 FROM `a b`.c"); got != "a b.c" {
		t.Errorf("Table = %q", got)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"SELECT  1 -- x\n;", "E'\\'  ", "$a$ $b$ $a$", "/* /* */", "'", "\"a\" /*!1 */ # x", "--\n--", "$$", "0--#", "--#0\n0"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, mysql bool) {
		d := Standard
		if mysql {
			d = MySQL
		}
		once := d.Normalize(s)
		if len(once) > len(s) {
			t.Fatalf("Normalize(%q) = %q is longer", s, once)
		}
		// In MySQL a comment that becomes a blank may turn -- into one.
		if twice := d.Normalize(once); twice != once && !(mysql && strings.Contains(s, "--")) {
			t.Fatalf("Normalize(%q) = %q, of that %q", s, once, twice)
		}
		d.Verb(s)
		if tables := d.Tables(s); len(tables) > maxTables || slices.Contains(tables, "") && !strings.Contains(s, `""`) && !strings.Contains(s, "``") {
			t.Fatalf("Tables(%q) = %q", s, tables)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	const sql = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
	b.ReportAllocs()
	for b.Loop() {
		Normalize(sql)
	}
}
