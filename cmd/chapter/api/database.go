package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is PostgreSQL.
type database struct {
	pool     *pgxpool.Pool
	prepared atomic.Bool
}

func openDatabase(ctx context.Context, url string) (*database, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open DATABASE_URL: %w", err)
	}
	return &database{pool: pool}, nil
}

const schema = `
CREATE TABLE IF NOT EXISTS users (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE IF NOT EXISTS data (key text PRIMARY KEY, value text NOT NULL);
INSERT INTO data VALUES ('key', 'the value that was always there') ON CONFLICT DO NOTHING`

// prepare makes the tables; it tries until the server lets it.
func (d *database) prepare(ctx context.Context) {
	for ctx.Err() == nil {
		_, err := d.pool.Exec(ctx, schema)
		if err == nil {
			d.prepared.Store(true)
			return
		}
		log.Printf("make tables: %s", err)
		time.Sleep(100 * time.Millisecond)
	}
}

func (d *database) ready(ctx context.Context) error {
	if !d.prepared.Load() {
		return errors.New("the database is not ready")
	}
	return nil
}

func (d *database) createUser(ctx context.Context, name string) (id int, err error) {
	err = d.pool.QueryRow(ctx, "INSERT INTO users (name) VALUES ($1) RETURNING id", name).Scan(&id)
	return id, err
}

// user returns the name of a user; errNone if there is none.
func (d *database) user(ctx context.Context, id int) (name string, err error) {
	err = d.pool.QueryRow(ctx, "SELECT name FROM users WHERE id = $1", id).Scan(&name)
	return name, none(err)
}

func (d *database) setData(ctx context.Context, key, value string) error {
	_, err := d.pool.Exec(ctx, "INSERT INTO data VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2", key, value)
	return err
}

func (d *database) data(ctx context.Context, key string) (value string, err error) {
	err = d.pool.QueryRow(ctx, "SELECT value FROM data WHERE key = $1", key).Scan(&value)
	return value, none(err)
}

// errNone says that there is no such row.
var errNone = errors.New("there is none")

func none(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errNone
	}
	return err
}
