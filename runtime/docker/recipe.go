//go:build linux

package docker

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"faultbox/runtime"
)

// recipe is the Dockerfile that a folder is built by.
type recipe struct {
	name string // in the archive
	text []byte // of one that is not in the folder; nil: it is
}

// outside is the name of a Dockerfile that the folder does not have.
const outside = ".faultbox.Dockerfile"

// recipeOf finds the Dockerfile of a folder.
func recipeOf(dir string, b *runtime.Build) (*recipe, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("build the image of %s: there is no such folder: correct build=", dir)
	case err != nil:
		return nil, fmt.Errorf("build the image of %s: %w", dir, err)
	case !info.IsDir():
		return nil, fmt.Errorf("build the image of %s: it is a file: build= names the folder of the Dockerfile", dir)
	case b.Inline != "":
		return &recipe{outside, []byte(b.Inline)}, nil
	}
	name := b.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("build the image of %s: it has no %s: write one, or correct build=", dir, name)
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return &recipe{name: filepath.ToSlash(rel)}, nil
	}
	return &recipe{outside, text}, nil
}

// describe writes what, besides the folder, makes an image another one.
func (r *recipe) describe(w io.Writer, b *runtime.Build) error {
	return json.NewEncoder(w).Encode(b)
}

// pack writes a Dockerfile that is not in the folder.
func (r *recipe) pack(w *tar.Writer) error {
	if r.text == nil {
		return nil
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: r.name, Size: int64(len(r.text)), Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := w.Write(r.text)
	return err
}
