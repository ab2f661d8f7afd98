//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"faultbox/intercept"
	"faultbox/runtime"
	"faultbox/runtime/docker/shim"
)

// Start implements runtime.Driver.
func (e *Engine) Start(ctx context.Context, rw runtime.World, s *runtime.Service, pass runtime.Gate) (runtime.Instance, error) {
	cli, err := e.connect()
	if err != nil {
		return nil, err
	}
	w, ok := rw.(*world)
	if !ok {
		return nil, errors.New("start container: its world has no network for containers")
	}
	if s.Container != "" {
		return w.attach(ctx, cli, s, pass)
	}
	g, err := openGate(filepath.Join(w.Dir(), "gates", s.Name))
	if err != nil {
		return nil, err
	}
	defer g.close()
	id := w.resume(s.Name)
	i := &instance{cli: cli, world: w, service: s, id: id, since: again(id), tty: s.Settings != nil && s.Settings.Tty, asked: make(chan struct{}), exited: make(chan struct{})}
	if id == "" {
		img, err := e.imageOf(ctx, cli, s)
		if err != nil {
			return nil, err
		}
		if i.id, err = w.create(ctx, cli, s, img, g); err != nil {
			return nil, err
		}
	}
	if err := i.start(ctx, g, pass); err != nil {
		err = i.explain(ctx, err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		return nil, errors.Join(err, i.abandon(ctx))
	}
	return i, nil
}

// create makes the container, with the gate in front of what the image executes.
func (w *world) create(ctx context.Context, cli *client.Client, s *runtime.Service, img image.InspectResponse, g *gate) (string, error) {
	s, over, err := w.trusting(ctx, cli, s, img, g)
	if err != nil {
		return "", err
	}
	config, err := w.config(s, img)
	if err != nil {
		return "", err
	}
	host, err := w.hostConfig(s, g)
	if err != nil {
		return "", err
	}
	host.Mounts = append(host.Mounts, over...)
	for _, p := range s.Ports {
		port := nat.Port(strconv.Itoa(p.Container) + "/tcp")
		config.ExposedPorts[port] = struct{}{}
		host.PortBindings[port] = append(host.PortBindings[port], nat.PortBinding{HostPort: strconv.Itoa(p.Host)})
	}
	if err := w.furnish(ctx, cli, s, config, host); err != nil {
		return "", err
	}
	places := w.placesOf(s)
	host.NetworkMode = container.NetworkMode(places[0].bridge.name)
	networking := &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{places[0].bridge.name: places[0].endpoint}}
	name := w.name + "-" + s.Name
	made, err := cli.ContainerCreate(ctx, config, host, networking, nil, name)
	if err != nil {
		return "", explainCreate(name, s, stopped(err))
	}
	return made.ID, w.connect(ctx, cli, made.ID, places[1:])
}

// config is what the image says, and the spec.
func (w *world) config(s *runtime.Service, img image.InspectResponse) (*container.Config, error) {
	c := &container.Config{
		Image: img.ID, Env: s.Env, User: s.User, WorkingDir: s.Workdir,
		ExposedPorts: nat.PortSet{}, // those of the image stay
		Labels:       map[string]string{labelRun: w.engine.o.RunID, labelWorld: w.name, labelService: s.Name},
	}
	var entrypoint []string
	if img.Config != nil {
		entrypoint, c.Cmd = img.Config.Entrypoint, img.Config.Cmd
	}
	entrypoint, c.Cmd = command(s.Settings, entrypoint, c.Cmd)
	if len(s.Args) > 0 {
		c.Cmd = s.Args
	}
	if len(entrypoint)+len(c.Cmd) == 0 {
		return nil, errors.New("start container: its image names no program to execute: say which with args=")
	}
	c.Entrypoint = append([]string{shim.Path}, entrypoint...)
	return c, nil
}

// hostConfig is what the container gets of this machine.
func (w *world) hostConfig(s *runtime.Service, g *gate) (*container.HostConfig, error) {
	program := w.engine.o.Program
	if program == "" {
		var err error
		if program, err = self(); err != nil {
			return nil, err
		}
	}
	h := &container.HostConfig{
		NetworkMode:  container.NetworkMode(w.bridge.name),
		PortBindings: nat.PortMap{},
		// As the docker command says it.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: program, Target: shim.Path, ReadOnly: true},
			{Type: mount.TypeBind, Source: g.dir, Target: shim.SocketDir, ReadOnly: true},
		},
	}
	if !w.engine.podman() { // whose own can be read always
		// What the engine is set to may keep no lines, and then a service that ends
		// would have no last words, and an observer would see nothing.
		h.LogConfig.Type = "json-file"
	}
	for _, b := range s.Volumes {
		if _, err := os.Stat(b.Host); err != nil {
			return nil, fmt.Errorf("mount %s at %s: %w: make it, or correct volumes=", b.Host, b.Container, errors.Unwrap(err))
		}
		h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeBind, Source: b.Host, Target: b.Container, ReadOnly: b.Mode == "ro"})
	}
	for _, other := range w.engine.o.Services {
		if other.Local() {
			h.ExtraHosts = append(h.ExtraHosts, other.Name+":"+w.addrs[other.Name].String())
		}
	}
	return h, nil
}

func explainCreate(name string, s *runtime.Service, err error) error {
	switch {
	case cerrdefs.IsConflict(err):
		return fmt.Errorf("make container %s: %w: remove that one: `docker rm -f %s`", name, err, name)
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("make container: %w: was image %s removed in the meantime?", err, s.Image)
	}
	return fmt.Errorf("make container: %w", err)
}

// start starts the container and brings it through the gate.
func (i *instance) start(ctx context.Context, g *gate, pass runtime.Gate) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	started := make(chan error, 1)
	go func() {
		err := i.cli.ContainerStart(ctx, i.id, container.StartOptions{})
		if err != nil {
			cancel(fmt.Errorf("start container: %w", stopped(err)))
		}
		started <- err
	}()
	v, err := g.admit(ctx)
	if err != nil {
		cancel(err)
		<-started
		return context.Cause(ctx)
	}
	defer v.close()
	if err := i.watch(v.pid); err != nil {
		return err
	}
	if v.says.Error != "" {
		return errors.New(v.says.Error)
	}
	if err := i.world.join(true); err != nil {
		return err
	}
	if i.world.engine.podman() {
		if err := announce(i.ns); err != nil {
			return err
		}
	}
	cgroup, err := cgroupOf(v.pid)
	if err != nil {
		return err
	}
	exec := &intercept.Exec{Path: v.says.Path, Argv: v.says.Argv}
	defer closeAll(exec)
	if err := pass(intercept.Target{Name: i.service.Name, Cgroup: cgroup, NetNS: i.ns, Exec: exec}); err != nil {
		return err
	}
	if exec.Started == nil {
		if err := v.pass(exec); err != nil {
			return err
		}
	} else if err := i.passFiltered(v, exec); err != nil {
		return err
	}
	return <-started
}

// passFiltered lets the shim go on to a program that is put in front of the
// service's own, which reports by itself.
func (i *instance) passFiltered(v *visitor, exec *intercept.Exec) error {
	passed := make(chan error, 1)
	go func() { passed <- v.pass(exec) }()
	return errors.Join(exec.Started(), <-passed)
}

// explain adds what there is to say about a container that did not start.
func (i *instance) explain(ctx context.Context, err error) error {
	msg := err.Error()
	switch {
	case strings.Contains(msg, "port is already allocated") || strings.Contains(msg, "address already in use"):
		return fmt.Errorf("%w: something else has that port: free it, or change ports= (none is needed for tests)", err)
	case strings.Contains(msg, "no space left"):
		return fmt.Errorf("%w: free some with `docker system prune`", err)
	case strings.Contains(msg, "not found in $PATH") && !strings.Contains(msg, "AppArmor"): // else the engine lacks it
		return fmt.Errorf("%w (in its container; correct args=)", err)
	}
	if lines := i.Tail(15); len(lines) > 0 {
		return fmt.Errorf("%w; its last lines:\n    %s", err, strings.Join(lines, "\n    "))
	}
	return err
}

// cgroupOf returns the cgroup2 directory of a process: where its sockets are
// born. On hosts with both versions a container may be at the top of it.
func cgroupOf(pid int) (string, error) {
	top, root, err := cgroup2Mount()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", fmt.Errorf("find the container's cgroup: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		path, v2 := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !v2 {
			continue
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(rel) {
			return top, nil // above what we see: the namespace tells it from others
		}
		return filepath.Join(top, rel), nil
	}
	return top, nil
}

// cgroup2Mount returns where cgroup2 is mounted and what part of it: see
// proc_pid_mountinfo(5).
func cgroup2Mount() (mountPoint, root string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", fmt.Errorf("find cgroup2: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		left, right, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(left); len(fields) > 4 && strings.HasPrefix(right, "cgroup2 ") {
			return fields[4], fields[3], nil
		}
	}
	return "", "", errors.New("find cgroup2: it is not mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
}
