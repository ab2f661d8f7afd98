package orders

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"faultbox/cmd/faultbox/demo/kvstore"
	"faultbox/intercept/drivers"
)

// shop is an API with the servers behind it, all real.
type shop struct {
	t     *testing.T
	api   *httptest.Server
	db    *pgx.Conn     // around the API
	cache *redis.Client // around the API
}

func startPostgres(t *testing.T) (url string) {
	return "postgres://postgres:" + drivers.PostgresPassword + "@" + drivers.Postgres(t) + "/postgres"
}

func newShop(t *testing.T, dbURL, cacheURL string, buggy bool) *shop {
	t.Helper()
	s, err := New(t.Context(), Config{DatabaseURL: dbURL, RedisURL: cacheURL, Buggy: buggy}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	sh := &shop{t: t, api: httptest.NewServer(s.Handler()), cache: s.cache.client}
	t.Cleanup(sh.api.Close)
	return sh
}

func (sh *shop) withDB(url string) *shop {
	sh.t.Helper()
	conn, err := pgx.Connect(sh.t.Context(), url)
	if err != nil {
		sh.t.Fatal(err)
	}
	sh.t.Cleanup(func() { conn.Close(context.Background()) })
	sh.db = conn
	return sh
}

func (sh *shop) exec(sql string) {
	sh.t.Helper()
	if _, err := sh.db.Exec(sh.t.Context(), sql); err != nil {
		sh.t.Fatal(err)
	}
}

func (sh *shop) stored() (n int) {
	sh.t.Helper()
	if err := sh.db.QueryRow(sh.t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil {
		sh.t.Fatal(err)
	}
	return n
}

func (sh *shop) order(key string, want int) Order {
	sh.t.Helper()
	resp, err := http.Post(sh.api.URL+"/orders", "application/json", strings.NewReader(`{"item": "lamp", "key": "`+key+`"}`))
	return sh.read(resp, err, want)
}

func (sh *shop) show(id string, want int) Order {
	sh.t.Helper()
	resp, err := http.Get(sh.api.URL + "/orders/" + id)
	return sh.read(resp, err, want)
}

func (sh *shop) read(resp *http.Response, err error, want int) (o Order) {
	sh.t.Helper()
	if err != nil {
		sh.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		sh.t.Fatalf("status %d %s, %v; want %d", resp.StatusCode, body, err, want)
	}
	if want < 400 {
		if err := json.Unmarshal(body, &o); err != nil {
			sh.t.Fatal(err)
		}
	}
	return o
}

func TestOrders(t *testing.T) {
	dbURL, cacheURL := startPostgres(t), "redis://"+drivers.Redis(t)
	sh := newShop(t, dbURL, cacheURL, false).withDB(dbURL)

	t.Run("stored once per key", func(t *testing.T) {
		first := sh.order("k-1", http.StatusCreated)
		again := sh.order("k-1", http.StatusOK)
		if first != again || sh.stored() != 1 {
			t.Errorf("%+v, then %+v; %d stored", first, again, sh.stored())
		}
		if got := sh.show(first.ID, http.StatusOK); got != first {
			t.Errorf("shown %+v, want %+v", got, first)
		}
		sh.show("nosuch", http.StatusNotFound)
		sh.order("", http.StatusBadRequest)
	})
	t.Run("cache miss", func(t *testing.T) {
		o := sh.order("k-2", http.StatusCreated)
		sh.cache.FlushAll(t.Context())
		sh.show(o.ID, http.StatusOK)
		if n := sh.cache.Exists(t.Context(), "order:"+o.ID).Val(); n != 1 {
			t.Error("an order read from the database is not in the cache")
		}
	})
	t.Run("slow cache", func(t *testing.T) {
		o := sh.order("k-3", http.StatusCreated)
		pid, err := strconv.Atoi(sh.cache.InfoMap(t.Context(), "server").Item("Server", "process_id"))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(pid, syscall.SIGCONT)
		if got := sh.show(o.ID, http.StatusOK); got != o {
			t.Errorf("shown %+v, want %+v", got, o)
		}
	})
	t.Run("read-only cache", func(t *testing.T) {
		sh.cache.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1")
		if err := sh.cache.Set(t.Context(), "x", "y", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
			t.Fatalf("SET on a replica: %v", err)
		}
		sh.order("k-4", http.StatusCreated)
		sh.cache.Do(t.Context(), "REPLICAOF", "NO", "ONE")
	})
	t.Run("slow SELECT", func(t *testing.T) {
		sh.cache.FlushAll(t.Context())
		sh.exec("BEGIN")
		sh.exec("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
		sh.show(idOf("k-1"), http.StatusServiceUnavailable)
		sh.exec("ROLLBACK")
		sh.show(idOf("k-1"), http.StatusOK)
	})
	t.Run("refused INSERT", func(t *testing.T) {
		before := sh.stored()
		sh.exec("ALTER TABLE orders ADD CONSTRAINT full_disk CHECK (key <> 'k-5')")
		sh.order("k-5", http.StatusServiceUnavailable)
		if n := sh.stored(); n != before {
			t.Errorf("%d orders stored, want %d", n, before)
		}
		sh.order("k-6", http.StatusCreated)
	})
}

func TestLostCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		buggy bool
		want  int
	}{{"honest", false, 1}, {"buggy", true, 2}} {
		t.Run(c.name, func(t *testing.T) {
			dbURL := startPostgres(t)
			cacheURL := serveStore(t)
			sh := newShop(t, throughLossyRelay(t, dbURL), cacheURL, c.buggy).withDB(dbURL)
			sh.order("k-1", http.StatusCreated)
			if n := sh.stored(); n != c.want {
				t.Errorf("%d orders stored, want %d", n, c.want)
			}
		})
	}
}

func TestRedisAsDatabase(t *testing.T) {
	dbURL, cacheURL := serveStore(t), serveStore(t)
	sh := newShop(t, dbURL, cacheURL, false)
	o := sh.order("k-1", http.StatusCreated)
	if again := sh.order("k-1", http.StatusOK); again != o {
		t.Errorf("again: %+v, want %+v", again, o)
	}
	sh.cache.FlushAll(t.Context())
	if got := sh.show(o.ID, http.StatusOK); got != o {
		t.Errorf("shown %+v, want %+v", got, o)
	}
	sh.show("nosuch", http.StatusNotFound)
}

func TestNoDatabase(t *testing.T) {
	_, err := New(t.Context(), Config{DatabaseURL: "postgres://127.0.0.1:1/x", RedisURL: "redis://127.0.0.1:1"}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "prepare the orders table") {
		t.Errorf("start without a database: %v", err)
	}
}

// serveStore runs an embedded store until the test ends.
func serveStore(t *testing.T) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go kvstore.Serve(ctx, ln)
	return "redis://" + ln.Addr().String()
}
