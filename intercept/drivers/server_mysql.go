package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The login and the database that the servers of MySQL and MariaDB know; the
// user may do anything.
const (
	MySQLUser     = "app"
	MySQLPassword = "secret"
	MySQLDatabase = "shop"
)

const mysqlInit = `CREATE DATABASE shop;
CREATE USER 'app'@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO 'app'@'%' WITH GRANT OPTION;
`

// MySQL starts a MySQL server for the test and returns its address. It speaks
// TLS and authenticates by caching_sha2_password. args are further arguments.
func MySQL(t testing.TB, args ...string) (addr string) {
	t.Helper()
	cached(t, "mysql/complete", ".ci/deps.d/mysql.sh")
	bin := cached(t, "mysql/mysqld", ".ci/deps.d/mysql.sh")
	dir := folder(t, "")
	base := []string{"--datadir=" + filepath.Join(dir, "data"), "--innodb-redo-log-capacity=8M"}
	if os.Getuid() == 0 {
		base = append(base, "--user=root") // others may not read the cache
	}
	if out, err := exec.Command(bin, append(base, "--initialize-insecure")...).CombinedOutput(); err != nil {
		t.Fatalf("initialize MySQL: %v\n%s", err, tail(out))
	}
	base = append(base, "--mysqlx=OFF", "--skip-log-bin", "--performance-schema=OFF", "--innodb-buffer-pool-size=32M")
	addr = mysqld(t, dir, func(all ...string) *exec.Cmd { return exec.Command(bin, append(base, all...)...) }, args)
	serves(addr, "MySQL", bin, "--version")
	return addr
}

// MariaDB starts a MariaDB server for the test and returns its address. It
// authenticates by mysql_native_password, without TLS. args are further arguments.
func MariaDB(t testing.TB, args ...string) (addr string) {
	t.Helper()
	bin := lookPath(t, "mariadbd", "mariadb-server")
	dir := folder(t, "mysql")
	data := "--datadir=" + filepath.Join(dir, "data")
	install := as(t, "mysql", lookPath(t, "mariadb-install-db", "mariadb-server"), "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, tail(out))
	}
	addr = mysqld(t, dir, func(all ...string) *exec.Cmd {
		return as(t, "mysql", bin, append([]string{"--no-defaults", data, "--skip-log-bin"}, all...)...)
	}, args)
	serves(addr, "MariaDB", bin, "--version")
	return addr
}

func mysqld(t testing.TB, dir string, command func(args ...string) *exec.Cmd, args []string) (addr string) {
	t.Helper()
	init := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(init, []byte(mysqlInit), 0o644); err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"--bind-address=127.0.0.1", "--port=" + port, "--socket=" + filepath.Join(dir, "s"), "--pid-file=" + filepath.Join(dir, "pid"),
		"--init-file=" + init, "--innodb-flush-log-at-trx-commit=0", "--local-infile=ON", "--max-allowed-packet=64M"}, args...)
	run(t, command(args...), syscall.SIGKILL, func() error { return accepts(addr) })
	return addr
}
