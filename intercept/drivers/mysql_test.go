package drivers

import (
	"context"
	"net"
	"regexp"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols/mysql"
)

// eachMySQL runs a test against MySQL and against MariaDB.
func eachMySQL(t *testing.T, do func(t *testing.T, server string)) {
	t.Run("MySQL", func(t *testing.T) { do(t, MySQL(t)) })
	t.Run("MariaDB", func(t *testing.T) { do(t, MariaDB(t)) })
}

// mysqlClients do a bit of everything and tell what they saw. MySQL's own
// clients, "mysql …", know no way to log in to MariaDB, or refuse it.
var mysqlClients = []struct {
	name string
	work func(t *testing.T, addr string) []string
}{
	{"go", func(t *testing.T, addr string) []string { return goMySQLWork(t, addr, "") }},
	{"go text", func(t *testing.T, addr string) []string { return goMySQLWork(t, addr, "&interpolateParams=true") }},
	{"go compressed", func(t *testing.T, addr string) []string { return goMySQLWork(t, addr, "&compress=true") }},
	{"mysql2", func(t *testing.T, addr string) []string { return mysql2(t, addr, "work") }},
	{"pymysql", func(t *testing.T, addr string) []string { return pymysql(t, addr, "work") }},
	{"jdbc", func(t *testing.T, addr string) []string { return mysqlJDBC(t, addr, "work", "") }},
	{"jdbc prepared", func(t *testing.T, addr string) []string {
		return mysqlJDBC(t, addr, "work", "&useServerPrepStmts=true&useBulkStmts=true")
	}},
	{"jdbc compressed", func(t *testing.T, addr string) []string {
		return mysqlJDBC(t, addr, "work", "&useCompression=true&useBatchMultiSend=false")
	}},
	{"mysql connector/j", func(t *testing.T, addr string) []string { return mysqlConnectorJ(t, addr, "work", "") }},
	{"mysql connector/j prepared", func(t *testing.T, addr string) []string {
		return mysqlConnectorJ(t, addr, "work", "&useServerPrepStmts=true&useCursorFetch=true")
	}},
	{"cli", func(t *testing.T, addr string) []string { return mysqlCLIWork(t, addr) }},
	{"cli compressed", func(t *testing.T, addr string) []string { return mysqlCLIWork(t, addr, "--compress") }},
	{"dump", mysqlDumpWork},
	{"mysql plain", func(t *testing.T, addr string) []string { return mysqlOwnCLI(t, addr) }},
	{"mysql zlib", func(t *testing.T, addr string) []string { return mysqlOwnCLI(t, addr, "--compression-algorithms=zlib") }},
	{"mysql zstd", func(t *testing.T, addr string) []string {
		return mysqlOwnCLI(t, addr, "--compression-algorithms=zstd,uncompressed")
	}},
	{"raw", mysqlRaw},
}

// TestMySQLUntouched compares what clients see through an edge with a rule
// that never matches with what they see directly.
func TestMySQLUntouched(t *testing.T) {
	eachMySQL(t, func(t *testing.T, server string) {
		for _, c := range mysqlClients {
			if strings.HasPrefix(c.name, "mysql ") && strings.HasSuffix(t.Name(), "/MariaDB") {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				Compared(t, mysql.Protocol, server, c.name, mysqlFeatures(c.name)...)
				direct := c.work(t, server)
				addr, log := Front(t, mysql.Protocol, server, never(t, mysql.Protocol, "query"))
				equalLines(t, direct, c.work(t, addr))
				mysqlCalm(t, direct, log)
				if c.name == "raw" {
					errors, told := 0, len(regexp.MustCompile(`#[0-9A-Z]{5}`).FindAllString(strings.Join(direct, ""), -1))
					for _, ev := range log.Events() {
						errors += len(ev.Err) / 4
					}
					if errors != told || told == 0 {
						t.Errorf("%d events with an error for %d errors in %q", errors, told, direct)
					}
				}
			})
		}
		for _, mode := range []string{"auto", "disable"} {
			t.Run("sysbench ps-mode="+mode, func(t *testing.T) {
				Compared(t, mysql.Protocol, server, "sysbench", "load without an error, ps-mode="+mode)
				addr, log := Front(t, mysql.Protocol, server, never(t, mysql.Protocol, "query"))
				sysbench(t, addr, mode)
				mysqlCalm(t, nil, log)
			})
		}
	})
}

// mysqlFeatures names what the work of a client makes use of.
func mysqlFeatures(client string) []string {
	switch client {
	case "raw":
		return []string{"CLIENT_DEPRECATE_EOF on and off", "optional metadata, query attributes", "COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE, COM_STMT_RESET, cursors", "COM_STATISTICS and others"}
	case "dump":
		return []string{"mysqldump and a load of what it made"}
	}
	features := []string{"queries, errors", "several statements, several results", "transactions", "an empty first column"}
	if !strings.HasPrefix(client, "mysql ") {
		features = append(features, "LOCAL INFILE")
	}
	if strings.HasPrefix(client, "go") {
		features = append(features, "packets above 16 MB")
	}
	return append(features, "prepared statements")
}

// mysqlCalm checks that a client went through the edge, which had nothing to say.
func mysqlCalm(t *testing.T, saw []string, log *Log) {
	t.Helper()
	if saw != nil && len(saw) < 5 {
		t.Errorf("the client saw next to nothing: %q", saw)
	}
	if len(log.Some(1)) == 0 {
		t.Error("no event: the client did not go through the edge")
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("the relay notes %q", notes)
	}
	for _, ev := range log.Events() {
		if ev.Outcome != intercept.Answered {
			t.Errorf("%s %.100q ended as %q", ev.Op, ev.Text, ev.Outcome)
		}
	}
}

// TestMySQLOverTLS: the client asks for TLS in its first packet, and faults
// act below it.
func TestMySQLOverTLS(t *testing.T) {
	server := MySQL(t)
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	addr, log := FrontLink(t, proxy.Link{
		Protocol: mysql.Protocol, TLSConfig: &proxy.TLS{CA: ca},
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
	}, mysqlRule(t, "SELECT 'broken'", mysqlError("disk full", "")))
	Compared(t, mysql.Protocol, server, "go", "TLS, in-band", "TLS, in-band, compressed")
	Struck(t, mysql.Protocol, server, "go", "error below TLS")
	const options = "&tls=skip-verify"
	equalLines(t, goMySQLWork(t, server, options), goMySQLWork(t, addr, options))
	equalLines(t, goMySQLWork(t, server, options+"&compress=true"), goMySQLWork(t, addr, options+"&compress=true"))
	mysqlCalm(t, nil, log)
	if _, err := goMySQL(t, addr, options).Exec("SELECT 'broken'"); mysqlErrno(err) != "1021/HY000" {
		t.Errorf("the client saw %v", err)
	}
	var cipher, name string
	if err := goMySQL(t, addr, options).QueryRow("SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
		t.Errorf("the server says %s = %q (%v)", name, cipher, err)
	}
}

// sysbench runs a mixed load, which must meet no error.
func sysbench(t *testing.T, addr, mode string) {
	host, port, _ := net.SplitHostPort(addr)
	bin := lookPath(t, "sysbench", "sysbench")
	common := []string{"oltp_read_write", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + MySQLUser, "--mysql-password=" + MySQLPassword,
		"--mysql-db=" + MySQLDatabase, "--mysql-ssl=off", "--table-size=1000", "--tables=2", "--threads=4", "--events=400", "--time=0", "--db-ps-mode=" + mode}
	var out []string
	for _, action := range []string{"prepare", "run", "cleanup"} {
		out = command(t, bin, append(common, action)...)
		if action == "run" && !strings.Contains(strings.Join(strings.Fields(strings.Join(out, " ")), " "), "transactions: 400 ") {
			t.Errorf("sysbench: %s", strings.Join(out, "\n"))
		}
	}
}
