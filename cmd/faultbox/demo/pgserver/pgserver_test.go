package pgserver_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"faultbox/cmd/faultbox/demo/pgserver"
	"faultbox/intercept/drivers"
)

// start runs a PostgreSQL until the test ends and returns its address once it
// answers.
func start(t *testing.T) (url string) {
	t.Helper()
	if _, err := pgserver.Find(); errors.Is(err, pgserver.ErrMissing) {
		t.Skip("PostgreSQL is not installed (apt-get install postgresql)")
	}
	cfg := pgserver.Config{Port: drivers.FreePort(t), Password: "s3cret"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pgserver.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	url = "postgres://postgres:s3cret@127.0.0.1:" + cfg.Port + "/postgres"
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			conn.Close(ctx)
			return url
		}
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("PostgreSQL ended: %v", err)
		case <-t.Context().Done():
			t.Fatalf("PostgreSQL does not answer: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestServes(t *testing.T) {
	url := start(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var version string
	if err := conn.QueryRow(t.Context(), "SELECT version()").Scan(&version); err != nil || !strings.HasPrefix(version, "PostgreSQL") {
		t.Errorf("version: %q, %v", version, err)
	}
	_, err = pgx.Connect(t.Context(), strings.Replace(url, "s3cret", "wrong", 1))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("wrong password: %v, want SQLSTATE 28P01", err)
	}
}

func TestLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	// The server's user must be able to reach its folder.
	for dir := tmp; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", tmp)
	t.Run("run", func(t *testing.T) {
		start(t)
		if found, _ := filepath.Glob(tmp + "/faultbox-postgres-*"); len(found) != 1 {
			t.Errorf("data folders while it runs: %v, want one", found)
		}
	})
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPortTaken(t *testing.T) {
	url := start(t)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	err = pgserver.Run(t.Context(), pgserver.Config{Port: strconv.Itoa(int(cfg.Port))})
	if err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("second server on the port: %v", err)
	}
}
