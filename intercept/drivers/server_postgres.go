package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// PostgresPassword is the password of user postgres on the servers that
// Postgres starts (SCRAM-SHA-256).
const PostgresPassword = "secret"

// Postgres starts a PostgreSQL server for the test and returns its address.
// conf are further settings, as "name=value".
func Postgres(t testing.TB, conf ...string) (addr string) {
	t.Helper()
	return startPostgres(t, newest(t, "postgresql", "/usr/lib/postgresql/*/bin/initdb"), conf)
}

// newPostgres is Postgres for the version that .ci/deps.d/postgres.sh fetches.
func newPostgres(t testing.TB, conf ...string) (addr string) {
	t.Helper()
	cached(t, "postgres-18/complete", ".ci/deps.d/postgres.sh")
	dir := folder(t, "") // others may not read the cache
	if out, err := exec.Command("cp", "-r", cached(t, "postgres-18", ".ci/deps.d/postgres.sh")+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("copy PostgreSQL: %v\n%s", err, out)
	}
	return startPostgres(t, filepath.Join(dir, "bin", "initdb"), conf)
}

// startPostgres starts the server next to an initdb.
func startPostgres(t testing.TB, bin string, conf []string) (addr string) {
	t.Helper()
	dir := folder(t, "postgres")
	data, password := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o644); err != nil {
		t.Fatal(err)
	}
	initdb := as(t, "postgres", bin, "-D", data, "-A", "scram-sha-256", "-U", "postgres", "--pwfile="+password, "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := FreePort(t)
	args := []string{"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", dir}
	for _, c := range conf {
		args = append(args, "-c", c)
	}
	addr = "127.0.0.1:" + port
	run(t, as(t, "postgres", filepath.Join(filepath.Dir(bin), "postgres"), args...), syscall.SIGINT, func() error {
		if err := accepts(addr); err != nil {
			return err
		}
		return exec.Command(newest(t, "postgresql", "/usr/lib/postgresql/*/bin/pg_isready"), "-q", "-h", "127.0.0.1", "-p", port).Run()
	})
	serves(addr, "PostgreSQL", bin, "--version")
	return addr
}

// EachPostgres runs do with the distribution's PostgreSQL and with the newer one
// that .ci/deps.d/postgres.sh fetches.
func EachPostgres(t *testing.T, do func(t *testing.T, addr string), conf ...string) {
	t.Run("PostgreSQL 15", func(t *testing.T) { do(t, Postgres(t, conf...)) })
	t.Run("PostgreSQL 18", func(t *testing.T) { do(t, newPostgres(t, conf...)) })
}
