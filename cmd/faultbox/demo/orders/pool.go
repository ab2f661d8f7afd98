package orders

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// pool keeps idle connections to a database.
type pool struct {
	url  string
	idle chan *pgx.Conn
}

func newPool(url string, size int) *pool {
	return &pool{url: url, idle: make(chan *pgx.Conn, size)}
}

// use lends a connection to f. One that f broke is not used again.
func (p *pool) use(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.put(conn)
	return f(conn)
}

func (p *pool) take(ctx context.Context) (*pgx.Conn, error) {
	for {
		select {
		case conn := <-p.idle:
			if !conn.IsClosed() {
				return conn, nil
			}
		default:
			return pgx.Connect(ctx, p.url)
		}
	}
}

// put takes a connection back, or closes it if it is in the middle of
// something or one too many.
func (p *pool) put(conn *pgx.Conn) {
	if conn.IsClosed() {
		return
	}
	if conn.PgConn().TxStatus() == 'I' {
		select {
		case p.idle <- conn:
			return
		default:
		}
	}
	conn.Close(context.Background())
}

func (p *pool) close() {
	for {
		select {
		case conn := <-p.idle:
			conn.Close(context.Background())
		default:
			return
		}
	}
}
