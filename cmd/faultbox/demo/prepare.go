package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"faultbox/cmd/faultbox/demo/pgserver"
)

//go:embed demo.star
var fullSpec []byte

//go:embed demo-small.star
var smallSpec []byte

// The lines of the specs that differ between a demo and a --buggy one.
var (
	honest = []byte("\nBUGGY = False\n")
	buggy  = []byte("\nBUGGY = True\n")
)

// Prepare writes the example's spec to dir, which exists, with a link named
// faultbox to the running program next to it. It returns the spec's path and
// notes for the user: what the example stands on here, and what is left out.
// With bug set the API has its bug.
func Prepare(dir string, bug bool) (specFile string, notes []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("find the running program: %w", err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "faultbox")); err != nil {
		return "", nil, fmt.Errorf("prepare the example: %w", err)
	}
	name, text := "demo.star", fullSpec
	bin, pgErr := pgserver.Find()
	if pgErr != nil {
		name, text = "demo-small.star", smallSpec
	}
	if bug {
		text = bytes.Replace(text, honest, buggy, 1)
	}
	specFile = filepath.Join(dir, name)
	if err := os.WriteFile(specFile, text, 0o644); err != nil {
		return "", nil, fmt.Errorf("write the example's spec: %w", err)
	}
	return specFile, describe(bin, redisServer()), nil
}

// describe says what the example stands on, given where PostgreSQL and Redis
// are installed ("": nowhere).
func describe(postgres, redis string) []string {
	var notes []string
	if postgres == "" {
		notes = append(notes,
			"PostgreSQL is not installed, so this is the small example: orders are kept in a Redis-protocol store.",
			"  Left out: failing INSERT (disk full), slow SELECT, and the lost COMMIT, which a lost SET stands in for.",
			"  For the whole example: sudo apt-get install postgresql   (Fedora: sudo dnf install postgresql-server)")
	} else {
		notes = append(notes, "PostgreSQL: "+postgres)
	}
	if redis == "" {
		notes = append(notes,
			"Redis: the small store inside faultbox, because no redis-server was found",
			"  For the real one: sudo apt-get install redis-server")
	} else {
		notes = append(notes, "Redis: "+redis)
	}
	return notes
}
