package compose

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"faultbox/runtime"
)

// mounts are volumes, folders of the host, configs and secrets. A tmpfs among
// the volumes is one of the engine's, see engine.
func (c *converter) mounts(s *types.ServiceConfig) ([]runtime.Mount, error) {
	var out []runtime.Mount
	for _, v := range s.Volumes {
		m, err := c.mount(s, v)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	for _, f := range s.Configs {
		m, err := c.file("configs", types.FileReferenceConfig(f), types.FileObjectConfig(c.project.Configs[f.Source]), "/"+f.Source)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	for _, f := range s.Secrets {
		ref := types.FileReferenceConfig(f)
		if ref.Target != "" && !path.IsAbs(ref.Target) {
			ref.Target = "/run/secrets/" + ref.Target
		}
		m, err := c.file("secrets", ref, types.FileObjectConfig(c.project.Secrets[f.Source]), "/run/secrets/"+f.Source)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (c *converter) mount(s *types.ServiceConfig, v types.ServiceVolumeConfig) (runtime.Mount, error) {
	m := runtime.Mount{Target: v.Target, ReadOnly: v.ReadOnly}
	switch v.Type {
	case types.VolumeTypeBind:
		m.Host = v.Source
		if v.Bind != nil {
			m.Make, m.Propagation, m.SELinux = bool(v.Bind.CreateHostPath), v.Bind.Propagation, v.Bind.SELinux
			if v.Bind.Recursive != "" && v.Bind.Recursive != "enabled" {
				return m, fmt.Errorf("its volume at %s: recursive: %s cannot be honoured", v.Target, v.Bind.Recursive)
			}
		}
		if _, err := os.Stat(m.Host); err != nil && !m.Make {
			return m, fmt.Errorf("mount %s at %s: %w", shown(c.r.q.Dir, m.Host), v.Target, bare(err))
		}
	case types.VolumeTypeVolume:
		if v.Source != "" {
			m.Volume = c.volume(v.Source)
		}
		if v.Volume != nil {
			m.NoCopy, m.Subpath = v.Volume.NoCopy, v.Volume.Subpath
		}
	case types.VolumeTypeTmpfs:
		m.Tmpfs = &runtime.Tmpfs{}
		if v.Tmpfs != nil {
			m.Tmpfs.Size, m.Mode = int64(v.Tmpfs.Size), v.Tmpfs.Mode
		}
	default:
		return m, fmt.Errorf("its volume at %s is of type %s, which cannot be honoured", v.Target, v.Type)
	}
	return m, nil
}

func (c *converter) volume(name string) *runtime.Volume {
	v := c.volumes[name]
	if v == nil {
		config := c.project.Volumes[name]
		v = &runtime.Volume{Name: name, Driver: config.Driver, Options: config.DriverOpts}
		c.volumes[name] = v
	}
	return v
}

// file is a config or a secret.
func (c *converter) file(section string, ref types.FileReferenceConfig, object types.FileObjectConfig, target string) (runtime.Mount, error) {
	m := runtime.Mount{Target: cmp.Or(ref.Target, target), ReadOnly: true}
	switch {
	case object.File != "":
		m.Host = object.File
		if _, err := os.Stat(m.Host); err != nil {
			return m, fmt.Errorf("read %s.%s: %s: %w", section, ref.Source, shown(c.r.q.Dir, m.Host), bare(err))
		}
		if ref.UID != "" || ref.GID != "" || ref.Mode != nil {
			c.r.leave("the file is seen as it is on the host", section+"."+ref.Source)
		}
		return m, nil
	case object.Environment != "":
		text, ok := c.project.Environment[object.Environment]
		if !ok {
			return m, fmt.Errorf("read %s.%s: the environment has no variable %s", section, ref.Source, object.Environment)
		}
		m.Text = &text
	default:
		m.Text = &object.Content
	}
	m.Mode = 0o444
	if ref.Mode != nil {
		m.Mode = uint32(*ref.Mode)
	}
	for text, id := range map[*string]*int{&ref.UID: &m.UID, &ref.GID: &m.GID} {
		n, err := strconv.Atoi(cmp.Or(*text, "0"))
		if err != nil {
			return m, fmt.Errorf("read %s.%s: %q is no number of a user or group", section, ref.Source, *text)
		}
		*id = n
	}
	return m, nil
}

// isDir reports whether a path is a folder, or is going to be made as one.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.IsDir()
}
