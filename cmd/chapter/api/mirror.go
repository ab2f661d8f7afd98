package main

import (
	"context"
	"database/sql"
	"sync"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
)

// mirror is a MySQL that has the users too, if there is one.
type mirror struct {
	mu sync.Mutex
	db *sql.DB // with its table; nil until it is needed
}

const mirrorURL = "root:test@tcp(mysql:3306)/?timeout=5s&interpolateParams=true"

func (m *mirror) open(ctx context.Context) (*sql.DB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db != nil {
		return m.db, nil
	}
	db, err := sql.Open("mysql", mirrorURL)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS app",
		"CREATE TABLE IF NOT EXISTS app.users (id INT PRIMARY KEY, name VARCHAR(100) NOT NULL)",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			db.Close()
			return nil, err
		}
	}
	m.db = db
	return db, nil
}

// createUser repeats what the database has done, if there is a mirror.
func (m *mirror) createUser(ctx context.Context, id int, name string) error {
	if !around(ctx, "mysql") {
		return nil
	}
	db, err := m.open(ctx)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO app.users (id, name) VALUES (?, ?)", id, name)
	return err
}
