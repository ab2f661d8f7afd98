package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"faultbox/runtime"
)

// postgresSteps sends a statement without arguments as a simple query, which
// may hold several, and one with arguments as an unnamed extended query: one
// exchange either way. It logs in as the official image's variables in the
// service's environment say: POSTGRES_USER (postgres), POSTGRES_PASSWORD
// (none) and POSTGRES_DB (as POSTGRES_USER).
type postgresSteps struct{}

func (postgresSteps) Methods() []runtime.Method {
	return []runtime.Method{
		{Name: "query", Params: sqlParams, Doc: "Runs a statement with args for $1, $2, …; data is the list of its rows, each a dict by column name. " +
			"Numbers are ints, or floats where they have a fraction; times are RFC 3339 strings; JSON and arrays are decoded; the rest is PostgreSQL's own text."},
		{Name: "exec", Params: sqlParams, Doc: "Runs a statement with args for $1, $2, …; data is the number of rows affected. " +
			"A list stands for an array, a dict for JSON. A transaction lasts from BEGIN over several steps."},
	}
}

func (postgresSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &postgresSession{e: e, conns: make(map[sqlLogin]*postgresConn)}, nil
}

// Ping succeeds when the server lets us in and answers a query.
func (p postgresSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s, _ := p.Open(ctx, e)
	return pingSQL(ctx, "postgres", s)
}

// postgresSession keeps a connection for each login that its steps use.
type postgresSession struct {
	e     runtime.Endpoint
	conns map[sqlLogin]*postgresConn
}

type postgresConn struct {
	*pgconn.PgConn
	link *link
}

func (s *postgresSession) login(args runtime.Args) sqlLogin {
	env := s.e.Service.Getenv
	return sqlLogin{
		user:     cmp.Or(args.Str("user"), env("POSTGRES_USER"), "postgres"),
		password: cmp.Or(args.Str("password"), env("POSTGRES_PASSWORD")),
		database: cmp.Or(args.Str("database"), env("POSTGRES_DB"), env("POSTGRES_USER"), "postgres"),
	}
}

// Close says goodbye on each connection and closes it.
func (s *postgresSession) Close() error {
	for login, c := range s.conns {
		c.link.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		c.Conn().Write([]byte{'X', 0, 0, 0, 4}) // Terminate
		c.link.Close()
		delete(s.conns, login)
	}
	return nil
}

// fromStdin finds COPY … FROM STDIN, for which a step has nothing to send.
var fromStdin = regexp.MustCompile(`(?is)^\s*copy\b.*\bfrom\s+stdin\b`)

func (s *postgresSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	sql := args.Str("sql")
	values, _ := args["args"].([]any)
	if fromStdin.MatchString(sql) {
		return failed(context.Background(), misused("run COPY FROM STDIN: a step has no data to send; use INSERT, or COPY FROM a file on the server"))
	}
	params, err := postgresParams(values)
	if err != nil {
		return failed(context.Background(), err)
	}
	login := s.login(args)
	c, err := s.conn(ctx, login)
	if err != nil {
		return postgresFailed(ctx, err)
	}
	stop := c.link.closeWith(ctx)
	results, err := c.run(ctx, sql, params)
	if !stop() || c.IsClosed() {
		c.link.Close()
		delete(s.conns, login)
	}
	if err != nil {
		return postgresFailed(ctx, err)
	}
	resp := runtime.Response{OK: true}
	var tags []string
	for _, r := range results {
		tags = append(tags, r.CommandTag.String())
	}
	resp.Body = strings.Join(tags, "; ")
	if method == "exec" {
		affected := int64(0)
		for _, r := range results {
			affected += r.CommandTag.RowsAffected()
		}
		resp.Data = affected
		return resp
	}
	rows := []any{}
	for _, r := range slices.Backward(results) { // of several statements, the last that has rows
		if len(r.FieldDescriptions) > 0 {
			rows = postgresRows(r)
			break
		}
	}
	resp.Data = rows
	return resp
}

// run runs a statement to its end.
func (c *postgresConn) run(ctx context.Context, sql string, params [][]byte) ([]*pgconn.Result, error) {
	if len(params) == 0 {
		return c.Exec(ctx, sql).ReadAll()
	}
	r := c.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return []*pgconn.Result{r}, r.Err
}

// conn returns the login's connection, a new one if it has none that lives.
func (s *postgresSession) conn(ctx context.Context, login sqlLogin) (*postgresConn, error) {
	if c := s.conns[login]; c != nil {
		// An idle server may send notices and notifications; an error is its farewell.
		if alive, first := c.link.idle(); alive && first != 'E' {
			return c, nil
		}
		c.link.Close()
		delete(s.conns, login)
	}
	l, err := connect(ctx, s.e, false)
	if err != nil {
		return nil, err
	}
	cfg, err := s.config(login, l)
	if err != nil {
		l.Close()
		return nil, err
	}
	defer l.closeWith(ctx)()
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	c := &postgresConn{pc, l}
	s.conns[login] = c
	return c, nil
}

// config leaves nothing to the PG* variables and files of the user that runs
// faultbox. The driver gets one connection: it cannot make another to cancel a
// query, or to try again without TLS.
func (s *postgresSession) config(login sqlLogin, l *link) (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig("host=localhost port=5432 user=x dbname=x sslmode=disable target_session_attrs=any passfile='' sslcert='' sslkey='' sslrootcert=''")
	if err != nil {
		return nil, fmt.Errorf("configure postgres driver: %w", err)
	}
	cfg.User, cfg.Password, cfg.Database = login.user, login.password, login.database
	cfg.ConnectTimeout = 0
	cfg.Fallbacks = nil
	cfg.ChannelBinding = "disable" // TLS may end at faultbox
	cfg.RuntimeParams = map[string]string{"application_name": "faultbox", "client_encoding": "UTF8", "DateStyle": "ISO"}
	if s.e.Interface.TLS {
		cfg.TLSConfig = tlsConfig(s.e)
	}
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	used := false
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		if used {
			return nil, net.ErrClosed
		}
		used = true
		return l, nil
	}
	return cfg, nil
}

// postgresFailed tells the server's error if there is one.
func postgresFailed(ctx context.Context, err error) runtime.Response {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return failed(ctx, err)
	}
	return runtime.Response{Error: pg.Message, ErrorCode: pg.Code, Body: pg.Severity + ": " + pg.Message}
}
