//go:build linux

package docker

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"

	"faultbox/runtime"
	"faultbox/runtime/docker/shim"
	"faultbox/runtime/host"
)

// trusting returns s told, by its environment, of files in the gate's folder by
// which it trusts its CA on top of what its image trusts, and the mounts that
// lay these over the files that the image has for that.
func (w *world) trusting(ctx context.Context, cli *client.Client, s *runtime.Service, img image.InspectResponse, g *gate) (*runtime.Service, []mount.Mount, error) {
	if len(s.CA) == 0 {
		return s, nil, nil
	}
	var env []string
	if img.Config != nil {
		env = img.Config.Env
	}
	told := *s
	told.Env = slices.Concat(env, s.Env)
	rootFiles := host.RootFiles
	if own := told.Getenv("SSL_CERT_FILE"); own != "" {
		rootFiles = append([]string{own}, rootFiles...)
	}
	has, err := w.filesOf(ctx, cli, img, append([]string{host.KeyStoreFile}, rootFiles...))
	if err != nil {
		return nil, nil, fmt.Errorf("read what the image trusts: %w", err)
	}
	var roots []byte
	for _, file := range rootFiles {
		if roots = has[file]; roots != nil {
			break
		}
	}
	bundle := host.Bundle(roots, s.CA)
	store, err := host.KeyStore(bundle)
	if err != nil {
		return nil, nil, err
	}
	const pem, p12 = "trust.pem", "trust.p12"
	for name, content := range map[string][]byte{pem: bundle, p12: store} {
		if err := os.WriteFile(filepath.Join(g.dir, name), content, 0o644); err != nil {
			return nil, nil, fmt.Errorf("write what the container is to trust: %w", err)
		}
	}
	var over []mount.Mount
	for at := range has {
		name := pem
		if at == host.KeyStoreFile {
			name = p12
		}
		over = append(over, mount.Mount{Type: mount.TypeBind, Source: filepath.Join(g.dir, name), Target: at, ReadOnly: true})
	}
	told.Env = host.TrustEnv(told.Env, path.Join(shim.SocketDir, pem), path.Join(shim.SocketDir, p12))
	return &told, over, nil
}

// filesOf reads files of an image, those that it has, by way of a container
// that is never started.
func (w *world) filesOf(ctx context.Context, cli *client.Client, img image.InspectResponse, files []string) (has map[string][]byte, err error) {
	made, err := cli.ContainerCreate(ctx, &container.Config{
		Image: img.ID, Cmd: []string{"never"}, Labels: map[string]string{labelRun: w.engine.o.RunID},
	}, nil, nil, nil, "")
	if err != nil {
		return nil, err
	}
	defer cli.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	has = map[string][]byte{}
	for _, file := range files {
		content, err := fileOf(ctx, cli, made.ID, file)
		if cerrdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		has[file] = content
	}
	return has, nil
}

// fileOf reads a file of a container, through symbolic links.
func fileOf(ctx context.Context, cli *client.Client, id, file string) ([]byte, error) {
	const links = 8 // more is a loop
	for range links {
		archive, stat, err := cli.CopyFromContainer(ctx, id, file)
		if err != nil {
			return nil, err
		}
		defer archive.Close()
		if stat.Mode&os.ModeSymlink != 0 {
			if file = stat.LinkTarget; !path.IsAbs(file) {
				file = path.Join(path.Dir(stat.Name), file)
			}
			continue
		}
		r := tar.NewReader(archive)
		if _, err := r.Next(); err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
	return nil, fmt.Errorf("follow links of %s: they never end", file)
}
