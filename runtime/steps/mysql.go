package steps

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"faultbox/runtime"
)

// mysqlSteps sends every statement, which may be several, as one COM_QUERY;
// args are written into it. It logs in as the official images' variables in
// the service's environment say: MYSQL_USER with MYSQL_PASSWORD, else root with
// MYSQL_ROOT_PASSWORD, into MYSQL_DATABASE; or the same with MARIADB_.
type mysqlSteps struct{}

func (mysqlSteps) Methods() []runtime.Method {
	return []runtime.Method{
		{Name: "query", Params: sqlParams, Doc: "Runs a statement with args for each ?; data is the list of its rows, each a dict by column name. " +
			"Numbers are ints, or floats where they have a fraction; times are RFC 3339 strings without a zone; JSON is decoded; the rest is text."},
		{Name: "exec", Params: sqlParams, Doc: "Runs a statement with args for each ?; data is the number of rows affected. " +
			"A list or a dict stands for JSON. A transaction lasts from BEGIN over several steps."},
	}
}

func (mysqlSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &mysqlSession{e: e, conns: make(map[sqlLogin]*mysqlConn)}, nil
}

// Ping succeeds when the server lets us in and answers a query.
func (m mysqlSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s, _ := m.Open(ctx, e)
	return pingSQL(ctx, "mysql", s)
}

// mysqlSession keeps a connection for each login that its steps use.
type mysqlSession struct {
	e     runtime.Endpoint
	conns map[sqlLogin]*mysqlConn
}

type mysqlConn struct {
	driver.Conn
	link *link
}

func (s *mysqlSession) login(args runtime.Args) sqlLogin {
	env := func(name string) string {
		return cmp.Or(s.e.Service.Getenv("MYSQL_"+name), s.e.Service.Getenv("MARIADB_"+name))
	}
	l := sqlLogin{user: cmp.Or(args.Str("user"), env("USER"), "root"), database: cmp.Or(args.Str("database"), env("DATABASE"))}
	switch l.user {
	case "root":
		l.password = env("ROOT_PASSWORD")
	case env("USER"):
		l.password = env("PASSWORD")
	}
	l.password = cmp.Or(args.Str("password"), l.password)
	return l
}

// Close says goodbye on each connection and closes it.
func (s *mysqlSession) Close() error {
	for login, c := range s.conns {
		c.link.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		c.Conn.Close()
		c.link.Close()
		delete(s.conns, login)
	}
	return nil
}

func (s *mysqlSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	list, _ := args["args"].([]any)
	values, err := mysqlParams(list)
	if err != nil {
		return failed(context.Background(), err)
	}
	login := s.login(args)
	c, err := s.conn(ctx, login)
	if err != nil {
		return mysqlFailed(ctx, nil, err)
	}
	stop := c.link.closeWith(ctx)
	var resp runtime.Response
	if method == "exec" {
		resp, err = c.exec(ctx, args.Str("sql"), values)
	} else {
		resp, err = c.query(ctx, args.Str("sql"), values)
	}
	if answered := (*mysql.MySQLError)(nil); !stop() || err != nil && !errors.As(err, &answered) {
		c.link.Close()
		delete(s.conns, login)
	}
	if err != nil {
		return mysqlFailed(ctx, c.link, err)
	}
	return resp
}

// exec runs statements and adds up the rows that they affect.
func (c *mysqlConn) exec(ctx context.Context, sql string, values []driver.NamedValue) (resp runtime.Response, err error) {
	r, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, sql, values)
	if err == driver.ErrSkip {
		return resp, misused("%d args for the statement: it has another number of ?", len(values))
	}
	if err != nil {
		return resp, err
	}
	affected := int64(0)
	for _, n := range r.(mysql.Result).AllRowsAffected() {
		affected += n
	}
	return runtime.Response{OK: true, Data: affected, Body: strconv.FormatInt(affected, 10)}, nil
}

// query runs statements and keeps the rows of the last that has some.
func (c *mysqlConn) query(ctx context.Context, sql string, values []driver.NamedValue) (resp runtime.Response, err error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, sql, values)
	if err == driver.ErrSkip {
		return resp, misused("%d args for the statement: it has another number of ?", len(values))
	}
	if err != nil {
		return resp, err
	}
	defer rows.Close()
	resp = runtime.Response{OK: true, Data: []any{}}
	for {
		if len(rows.Columns()) > 0 {
			all, err := mysqlRows(rows)
			if err != nil {
				return resp, err
			}
			resp.Data = all
		}
		more := rows.(driver.RowsNextResultSet)
		if !more.HasNextResultSet() {
			return resp, nil
		}
		if err := more.NextResultSet(); err == io.EOF {
			return resp, nil
		} else if err != nil {
			return resp, err
		}
	}
}

// conn returns the login's connection, a new one if it has none that lives.
func (s *mysqlSession) conn(ctx context.Context, login sqlLogin) (*mysqlConn, error) {
	if c := s.conns[login]; c != nil {
		// What an idle server says is its farewell.
		if alive, first := c.link.idle(); alive && first == 0 {
			return c, nil
		}
		c.link.Close()
		delete(s.conns, login)
	}
	l, err := connect(ctx, s.e, false)
	if err != nil {
		return nil, err
	}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = login.user, login.password, login.database
	cfg.MultiStatements, cfg.InterpolateParams, cfg.CheckConnLiveness = true, true, false
	cfg.Logger = &mysql.NopLogger{}
	if s.e.Interface.TLS {
		cfg.TLS = tlsConfig(s.e)
	}
	cfg.Net, cfg.Addr = "tcp", s.e.Addr
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return l, nil }
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("configure mysql driver: %w", err)
	}
	defer l.closeWith(ctx)()
	conn, err := connector.Connect(ctx)
	if err != nil {
		l.Close()
		return nil, l.because(err)
	}
	c := &mysqlConn{conn, l}
	s.conns[login] = c
	return c, nil
}

// mysqlFailed tells the server's error if there is one. Of a connection that
// ends the driver says little; the link knows how it ended.
func mysqlFailed(ctx context.Context, l *link, err error) runtime.Response {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return runtime.Response{Error: my.Message, ErrorCode: strconv.Itoa(int(my.Number)),
			Body: fmt.Sprintf("ERROR %d (%s): %s", my.Number, my.SQLState[:], my.Message)}
	}
	if l != nil {
		err = l.because(err)
	}
	return failed(ctx, err)
}

// because returns what ended the connection, if anything has, else err.
func (l *link) because(err error) error {
	var answered *mysql.MySQLError
	if end := l.end.Load(); end != nil && !errors.As(err, &answered) {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(err.Error(), ": "+(*end).Error()), *end)
	}
	return err
}
