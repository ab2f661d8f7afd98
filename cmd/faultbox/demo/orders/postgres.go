package orders

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresStore keeps orders in a PostgreSQL table.
type postgresStore struct{ pool *pool }

func openPostgres(ctx context.Context, url string) (*postgresStore, error) {
	s := &postgresStore{pool: newPool(url, 8)}
	err := s.pool.use(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, `CREATE TABLE IF NOT EXISTS orders (
			id text PRIMARY KEY, key text NOT NULL, item text NOT NULL)`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the orders table: %w", err)
	}
	return s, nil
}

// Insert runs BEGIN, INSERT, COMMIT. Only an error that the server itself
// sent, or one from before COMMIT, tells that nothing is stored.
func (s *postgresStore) Insert(ctx context.Context, o Order) error {
	return s.pool.use(ctx, func(c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return fmt.Errorf("begin: %w", refused(err))
		}
		_, err = tx.Exec(ctx, `INSERT INTO orders (id, key, item) VALUES ($1, $2, $3)`, o.ID, o.Key, o.Item)
		if err != nil {
			tx.Rollback(ctx)
			return fmt.Errorf("insert: %w", refused(err))
		}
		if err := tx.Commit(ctx); err != nil {
			return fmt.Errorf("commit: %w", refused(err))
		}
		return nil
	})
}

// refused marks the errors after which the order is surely not stored. A
// server that says it is going away leaves that open.
func refused(err error) error {
	var server *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("%w: %w", errRefused, err)
	case !errors.As(err, &server), leavesOpen(server.Code):
		return err
	case server.Code == "23505": // unique_violation
		return errExists
	}
	return fmt.Errorf("%w: %w", errRefused, err)
}

// leavesOpen reports whether after an error with that SQLSTATE a COMMIT may
// have been done: connection exceptions, shutdowns and
// statement_completion_unknown (PostgreSQL manual, appendix A).
func leavesOpen(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "40003"
}

func (s *postgresStore) Get(ctx context.Context, id string) (o Order, err error) {
	err = s.pool.use(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT id, key, item FROM orders WHERE id = $1`, id).Scan(&o.ID, &o.Key, &o.Item)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Order{}, errNotFound
	}
	return o, err
}

func (s *postgresStore) Close() { s.pool.close() }
