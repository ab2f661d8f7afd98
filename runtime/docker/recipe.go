//go:build linux

package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// recipe is the Dockerfile that a folder is built by.
type recipe struct {
	name  string // in the archive
	text  []byte
	added bool // it is not in the folder
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
		return &recipe{outside, []byte(b.Inline), true}, nil
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
		return &recipe{filepath.ToSlash(rel), text, false}, nil
	}
	return &recipe{outside, text, true}, nil
}

// describe writes what, besides the folder, makes an image another one: how it
// is built, and from which images that are here by now.
func (r *recipe) describe(ctx context.Context, cli *client.Client, w io.Writer, b *runtime.Build) error {
	if err := json.NewEncoder(w).Encode(b); err != nil {
		return err
	}
	for _, ref := range r.bases(b.Args) {
		base, err := cli.ImageInspect(ctx, ref)
		if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsInvalidArgument(err) {
			return fmt.Errorf("look at image %s: %w", ref, stopped(err))
		}
		fmt.Fprintln(w, ref, base.ID)
	}
	return nil
}

// What a Dockerfile is built from, see its reference: FROM, COPY and RUN
// --mount with from=, and the arguments that may stand in these.
var (
	fromLine = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)|(?:--|,)from=([^\s,]+)`)
	argLine  = regexp.MustCompile(`(?im)^[ \t]*ARG[ \t]+(\w+)=["']?([^\s"']*)`)
)

// bases lists what may be images that an image is built from: names of stages
// are among them.
func (r *recipe) bases(args map[string]*string) (refs []string) {
	values := make(map[string]string)
	for _, m := range argLine.FindAllSubmatch(r.text, -1) {
		if _, known := values[string(m[1])]; !known {
			values[string(m[1])] = string(m[2])
		}
	}
	for name, value := range args {
		if value != nil {
			values[name] = *value
		}
	}
	for _, m := range fromLine.FindAllSubmatch(r.text, -1) {
		ref := os.Expand(string(m[1])+string(m[2]), func(name string) string {
			name, otherwise, _ := strings.Cut(name, ":-")
			if v := values[name]; v != "" {
				return v
			}
			return otherwise
		})
		if ref != "" && ref != "scratch" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// modern is what the engine's classic builder does not know.
var modern = regexp.MustCompile(`(?im)^[ \t]*(?:RUN[ \t]+--(?:mount|network|security)=|(?:COPY|ADD)[ \t].*--(?:link|chmod|exclude|parents|checksum)\b|(?:RUN|COPY)[ \t].*<<-?["']?\w)`)

// advice says what to do about a build that failed; "" if nothing is known.
func (r *recipe) advice(dir string) string {
	line := modern.Find(r.text)
	if line == nil {
		return ""
	}
	return fmt.Sprintf(" (%q needs BuildKit, and here the engine's classic builder builds: build it yourself, `docker build -t NAME %s`, and say image=\"NAME\" in place of build=)", strings.TrimSpace(string(line)), dir)
}

// pack writes a Dockerfile that is not in the folder.
func (r *recipe) pack(w *tar.Writer) error {
	if !r.added {
		return nil
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: r.name, Size: int64(len(r.text)), Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := w.Write(r.text)
	return err
}
