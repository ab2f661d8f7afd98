package spec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzLoad: whatever the file holds, Load returns, and its error has a place.
func FuzzLoad(f *testing.F) {
	for _, m := range mistakes {
		f.Add(shop + m.src)
	}
	f.Add("a = [0] * 3\n\x00")
	f.Add("def f(x = (lambda: [y for y in {}])()): return f\n")
	o := testOptions()
	o.LoadTimeout = 200 * time.Millisecond
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4<<10 {
			return
		}
		file := filepath.Join(t.TempDir(), "faultbox.star")
		if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Load(context.Background(), file, o)
		var e *Error
		if (s == nil) == (err == nil) || err != nil && !errors.As(err, &e) {
			t.Fatalf("%v, %v", s, err)
		}
		for i := range e.problems() {
			if e.Problems[i].Pos == "" || e.Problems[i].Text == "" {
				t.Fatalf("a problem without a place or a text: %+v", e.Problems[i])
			}
		}
	})
}

func (e *Error) problems() []Problem {
	if e == nil {
		return nil
	}
	return e.Problems
}
