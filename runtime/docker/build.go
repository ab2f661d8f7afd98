//go:build linux

package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// build builds the image of a folder with a Dockerfile, unless one was built
// from the same content, and the same images, before. It returns the image's
// tag, which names these.
func (e *Engine) build(ctx context.Context, cli *client.Client, dir string, b *runtime.Build) (string, error) {
	if b == nil {
		b = &runtime.Build{}
	}
	recipe, err := recipeOf(dir, b)
	if err != nil {
		return "", err
	}
	skip, err := readIgnore(dir)
	if err != nil {
		return "", err
	}
	tag, err := buildTag(ctx, cli, dir, skip, recipe, b)
	if err != nil {
		return "", err
	}
	if _, err := cli.ImageInspect(ctx, tag); err == nil {
		return tag, nil
	} else if !cerrdefs.IsNotFound(err) {
		return "", stopped(err)
	}
	begin := time.Now()
	e.say("building the image of %s …", dir)
	var log strings.Builder
	if err := e.sendBuild(ctx, cli, dir, skip, tag, recipe, b, &log); err != nil {
		return "", fmt.Errorf("build the image of %s: %w%s; the build's output:\n    %s", dir, stopped(err), recipe.advice(dir), lastLines(log.String(), 60))
	}
	e.say("built the image of %s in %s", dir, time.Since(begin).Round(100*time.Millisecond))
	// What it is built from may have come here with this build: it is to be found
	// by that from now on.
	now, err := buildTag(ctx, cli, dir, skip, recipe, b)
	if err == nil && now != tag {
		err = stopped(cli.ImageTag(ctx, tag, now))
	}
	return tag, err
}

// buildTag names the image of a folder by all that goes into it.
func buildTag(ctx context.Context, cli *client.Client, dir string, skip *ignore, recipe *recipe, b *runtime.Build) (string, error) {
	h := sha256.New()
	if err := recipe.describe(ctx, cli, h, b); err != nil {
		return "", err
	}
	if err := pack(h, dir, skip, recipe); err != nil {
		return "", fmt.Errorf("read %s to build an image of it: %w", dir, err)
	}
	return "faultbox/" + imageName(filepath.Base(dir)) + ":" + hex.EncodeToString(h.Sum(nil))[:16], nil
}

// sendBuild has the engine build a folder. What it prints goes to log.
func (e *Engine) sendBuild(ctx context.Context, cli *client.Client, dir string, skip *ignore, tag string, recipe *recipe, b *runtime.Build, log *strings.Builder) error {
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(pack(w, dir, skip, recipe)) }()
	labels := maps.Clone(b.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	labels[labelBuild] = filepath.Base(dir)
	answer, err := cli.ImageBuild(ctx, r, build.ImageBuildOptions{
		Tags: []string{tag}, Dockerfile: recipe.name, Remove: true, ForceRemove: true, Labels: labels,
		BuildArgs: b.Args, Target: b.Target, ExtraHosts: b.ExtraHosts, NetworkMode: b.Network, ShmSize: b.ShmSize,
	})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return e.follow(answer.Body, "building", func(s string) { log.WriteString(s) })
}

// pack writes a folder as a tar archive that depends on names, modes and
// content alone: no owner, no time.
func pack(to io.Writer, dir string, skip *ignore, recipe *recipe) error {
	w := tar.NewWriter(to)
	err := recipe.pack(w)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if skip.excludes(name) {
			if d.IsDir() && !skip.negated {
				return fs.SkipDir
			}
			if !d.IsDir() {
				return nil
			}
		}
		return packFile(w, path, name, d)
	})
	return errors.Join(err, w.Close())
}

func packFile(w *tar.Writer, path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	mode := info.Mode()
	if !mode.IsRegular() && !mode.IsDir() && mode.Type() != fs.ModeSymlink {
		return nil // sockets, pipes and devices are no part of an image
	}
	link := ""
	if mode.Type() == fs.ModeSymlink {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	*header = tar.Header{Typeflag: header.Typeflag, Name: name, Linkname: link, Size: header.Size, Mode: header.Mode, Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil || !mode.IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(w, f, header.Size)
	return err
}

// imageName makes a folder's name fit for an image's.
func imageName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	if s = strings.Trim(s, "-"); s == "" {
		return "image"
	}
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	return s
}

// lastLines returns the last n lines of a text, indented.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n    ")
}
