//go:build linux

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// command is what the settings make of an image's entrypoint and command. As
// with `docker run`, another entrypoint comes without the image's command.
func command(s *runtime.Settings, entrypoint, cmd []string) ([]string, []string) {
	if s == nil {
		return entrypoint, cmd
	}
	if s.Entrypoint != nil {
		entrypoint, cmd = s.Entrypoint, nil
	}
	if s.Command != nil {
		cmd = s.Command
	}
	return entrypoint, cmd
}

// furnish lays the settings of a service over what every container gets.
func (w *world) furnish(ctx context.Context, cli *client.Client, s *runtime.Service, c *container.Config, h *container.HostConfig) error {
	set := s.Settings
	if set == nil {
		return nil
	}
	own, hosts := c.Labels, h.ExtraHosts
	if len(set.Config) > 0 {
		if err := json.Unmarshal(set.Config, c); err != nil {
			return fmt.Errorf("read its settings: %w", err)
		}
	}
	if len(set.HostConfig) > 0 {
		if err := json.Unmarshal(set.HostConfig, h); err != nil {
			return fmt.Errorf("read its settings: %w", err)
		}
	}
	for key, value := range own {
		c.Labels[key] = value
	}
	if len(hosts) > 0 && len(h.ExtraHosts) > len(hosts) || len(set.HostConfig) > 0 {
		h.ExtraHosts = union(h.ExtraHosts, hosts)
	}
	for i, m := range set.Mounts {
		made, err := w.mount(ctx, cli, s, i, m)
		if err != nil {
			return err
		}
		if m.SELinux != "" {
			h.Binds = append(h.Binds, bind(made, m.SELinux))
			continue
		}
		h.Mounts = append(h.Mounts, made)
	}
	return nil
}

// bind writes a mount of a folder in the older form, which alone has labels of
// SELinux.
func bind(m mount.Mount, label string) string {
	options := []string{label}
	if m.ReadOnly {
		options = append(options, "ro")
	}
	if m.BindOptions != nil && m.BindOptions.Propagation != "" {
		options = append(options, string(m.BindOptions.Propagation))
	}
	return m.Source + ":" + m.Target + ":" + strings.Join(options, ",")
}

// union appends what is not there yet.
func union(list, more []string) []string {
	there := make(map[string]bool, len(list))
	for _, x := range list {
		there[x] = true
	}
	for _, x := range more {
		if !there[x] {
			list = append(list, x)
		}
	}
	return list
}

// mount makes what is mounted, and says how.
func (w *world) mount(ctx context.Context, cli *client.Client, s *runtime.Service, i int, m runtime.Mount) (mount.Mount, error) {
	out := mount.Mount{Type: mount.TypeVolume, Target: m.Target, ReadOnly: m.ReadOnly}
	switch {
	case m.Host != "":
		out.Type, out.Source = mount.TypeBind, m.Host
		if m.Propagation != "" {
			out.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(m.Propagation)}
		}
		_, err := os.Stat(m.Host)
		if errors.Is(err, fs.ErrNotExist) && m.Make {
			err = os.MkdirAll(m.Host, 0o755)
		}
		if err != nil {
			return out, fmt.Errorf("mount %s at %s: %w", m.Host, m.Target, err)
		}
	case m.Text != nil:
		path := filepath.Join(w.Dir(), "files", s.Name, strconv.Itoa(i))
		if err := writeFile(path, *m.Text, m); err != nil {
			return out, fmt.Errorf("make %s: %w", m.Target, err)
		}
		out.Type, out.Source = mount.TypeBind, path
	case m.Tmpfs != nil:
		out.Type, out.TmpfsOptions = mount.TypeTmpfs, &mount.TmpfsOptions{SizeBytes: m.Tmpfs.Size, Mode: os.FileMode(m.Mode)}
	default:
		if m.NoCopy || m.Subpath != "" {
			out.VolumeOptions = &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.Subpath}
		}
		if m.Volume != nil {
			out.Source = w.name + "-" + m.Volume.Name
			return out, w.makeVolume(ctx, cli, out.Source, m.Volume)
		}
	}
	return out, nil
}

// makeVolume makes a volume of the world's own; it may be there already.
func (w *world) makeVolume(ctx context.Context, cli *client.Client, name string, v *runtime.Volume) error {
	_, err := cli.VolumeCreate(ctx, volume.CreateOptions{
		Name: name, Driver: v.Driver, DriverOpts: v.Options, Labels: map[string]string{labelRun: w.engine.o.RunID, labelWorld: w.name},
	})
	if err != nil {
		return fmt.Errorf("make volume %s: %w", v.Name, stopped(err))
	}
	return nil
}

// writeFile writes a text with the owner and mode that a mount has.
func writeFile(path, text string, m runtime.Mount) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chown(path, m.UID, m.GID), os.Chmod(path, os.FileMode(m.Mode)))
}
