package compose

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"faultbox/runtime"
)

// converter makes services of one project.
type converter struct {
	r        *reader
	project  *types.Project
	networks map[string]*runtime.Net
	volumes  map[string]*runtime.Volume
	builds   map[*types.BuildConfig]*runtime.Build
}

func (c *converter) service(s *types.ServiceConfig) (*runtime.Service, error) {
	svc := &runtime.Service{
		Name: s.Name, Pos: c.r.places.of("services", s.Name), Image: s.Image, Workdir: s.WorkingDir, User: s.User,
		Env: environment(s), Restart: restart(s),
		Settings: &runtime.Settings{Entrypoint: s.Entrypoint, Command: s.Command, Tty: s.Tty},
	}
	if err := c.platform(s); err != nil {
		return nil, err
	}
	if err := c.build(s, svc); err != nil {
		return nil, err
	}
	if svc.Image == "" && svc.Build == "" {
		return nil, fmt.Errorf("it has neither an image nor a build")
	}
	var err error
	if svc.Settings.Config, svc.Settings.HostConfig, err = c.engine(s); err != nil {
		return nil, err
	}
	if svc.Settings.Mounts, err = c.mounts(s); err != nil {
		return nil, err
	}
	if svc.Settings.Networks, err = c.attachments(s); err != nil {
		return nil, err
	}
	c.dependencies(s, svc)
	if err := c.check(s, svc); err != nil {
		return nil, err
	}
	c.publish(s, svc)
	return svc, nil
}

// environment lists what has a value.
func environment(s *types.ServiceConfig) (env []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if v := s.Environment[name]; v != nil {
			env = append(env, name+"="+*v)
		}
	}
	return env
}

// restart is the policy as runtime.Service has it.
func restart(s *types.ServiceConfig) string {
	policy := s.Restart
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		p := s.Deploy.RestartPolicy
		switch p.Condition {
		case "", "any":
			policy = "always"
		case "on-failure":
			policy = "on-failure"
			if p.MaxAttempts != nil {
				policy += fmt.Sprintf(":%d", *p.MaxAttempts)
			}
		default:
			policy = "no"
		}
	}
	switch policy {
	case "", "no":
		return ""
	case "unless-stopped":
		return "always"
	}
	return policy
}

func (c *converter) platform(s *types.ServiceConfig) error {
	if s.Platform == "" {
		return nil
	}
	os, rest, _ := strings.Cut(s.Platform, "/")
	arch, _, _ := strings.Cut(rest, "/")
	arch = strings.NewReplacer("x86_64", "amd64", "aarch64", "arm64").Replace(arch)
	if os != "linux" || arch != "" && arch != goruntime.GOARCH {
		return fmt.Errorf("its platform is %s, and this machine runs linux/%s", s.Platform, goruntime.GOARCH)
	}
	return nil
}

// build is the service's own, or that of another service which builds the image
// that this one names.
func (c *converter) build(s *types.ServiceConfig, svc *runtime.Service) error {
	b := s.Build
	if b == nil && s.Image != "" {
		for _, other := range c.project.Services {
			if other.Build != nil && other.Image == s.Image {
				b = other.Build
			}
		}
	}
	if b == nil {
		return nil
	}
	if strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") {
		return fmt.Errorf("it is built of %s: only folders of this machine can be built", b.Context)
	}
	svc.Image, svc.Build = "", b.Context
	if svc.Settings.Build = c.builds[b]; svc.Settings.Build != nil {
		return nil
	}
	svc.Settings.Build = &runtime.Build{
		Dockerfile: b.Dockerfile, Inline: b.DockerfileInline, Args: b.Args, Target: b.Target, Labels: b.Labels,
		ExtraHosts: b.ExtraHosts.AsList(":"), Network: b.Network, ShmSize: int64(b.ShmSize),
	}
	c.builds[b] = svc.Settings.Build
	return nil
}

// attachments are the networks that the service is on, in compose's order.
func (c *converter) attachments(s *types.ServiceConfig) ([]runtime.Attachment, error) {
	names := s.NetworksByPriority()
	if len(names) == 0 {
		names = []string{"default"}
	}
	var out []runtime.Attachment
	for i, name := range names {
		n, err := c.network(name)
		if err != nil {
			return nil, err
		}
		a := runtime.Attachment{Network: n, Aliases: c.aliases(s)}
		if config := s.Networks[name]; config != nil {
			a.Aliases = append(a.Aliases, config.Aliases...)
			a.Address, a.MAC = config.Ipv4Address, config.MacAddress
		}
		if i == 0 {
			a.MAC = cmp.Or(a.MAC, s.MacAddress)
		}
		if a.Address != "" && n.Subnet == "" {
			return nil, fmt.Errorf("it has the address %s on network %s, which has no subnet", a.Address, name)
		}
		out = append(out, a)
	}
	return out, nil
}

// aliases are the names under which others reach a service on any network.
func (c *converter) aliases(s *types.ServiceConfig) []string {
	names := []string{s.Name}
	if s.ContainerName != "" {
		names = append(names, s.ContainerName)
	}
	for _, other := range c.project.Services {
		for _, link := range other.Links {
			if target, alias, ok := strings.Cut(link, ":"); ok && target == s.Name {
				names = append(names, alias)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *converter) network(name string) (*runtime.Net, error) {
	if n := c.networks[name]; n != nil {
		return n, nil
	}
	config := c.project.Networks[name]
	n := &runtime.Net{Name: name, Pos: c.r.places.of("networks", name), Internal: config.Internal, Options: map[string]string{}}
	for key, value := range config.DriverOpts {
		if key == "com.docker.network.bridge.name" {
			c.r.leave("every world has networks of its own", "networks."+name+".driver_opts")
			continue
		}
		n.Options[key] = value
	}
	if pools := config.Ipam.Config; len(pools) > 1 {
		return nil, fmt.Errorf("its network %s has several subnets; one is possible", name)
	} else if len(pools) == 1 {
		n.Subnet, n.Gateway, n.Range, n.Reserved = pools[0].Subnet, pools[0].Gateway, pools[0].IPRange, pools[0].AuxiliaryAddresses
		if strings.Contains(n.Subnet, ":") {
			return nil, fmt.Errorf("its network %s has IPv6 addresses; the networks of a world have IPv4", name)
		}
		if n.Subnet == "" && (n.Gateway != "" || n.Range != "" || len(n.Reserved) > 0) {
			return nil, fmt.Errorf("its network %s has a gateway, a range or reserved addresses, and no subnet that they belong to", name)
		}
	}
	c.networks[name] = n
	return n, nil
}

// dependencies are waited for as their conditions say. A dependency that is not
// required and not there is none.
func (c *converter) dependencies(s *types.ServiceConfig, svc *runtime.Service) {
	svc.Conditions = map[string]runtime.Condition{}
	add := func(name string, condition runtime.Condition) {
		if _, ok := c.project.Services[name]; ok && !slices.Contains(svc.DependsOn, name) {
			svc.DependsOn = append(svc.DependsOn, name)
			svc.Conditions[name] = condition
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		switch s.DependsOn[name].Condition {
		case types.ServiceConditionHealthy:
			add(name, runtime.Ready)
		case types.ServiceConditionCompletedSuccessfully:
			add(name, runtime.Done)
		default:
			add(name, runtime.Started)
		}
	}
	for _, link := range s.Links {
		target, _, _ := strings.Cut(link, ":")
		add(target, runtime.Started)
	}
}

// check is how to tell that the service is ready: by the check of the file or
// the image, where there is one, else by its ports.
func (c *converter) check(s *types.ServiceConfig, svc *runtime.Service) error {
	h := s.HealthCheck
	switch healthy := c.awaited(s.Name, types.ServiceConditionHealthy); {
	case h != nil && (h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE"):
		if healthy {
			return errors.New("its health check is disabled, and another service waits for it to be healthy")
		}
	case h != nil && len(h.Test) > 0, healthy:
		svc.Health = &runtime.Health{Kind: "command", Timeout: within(h)}
	}
	if c.awaited(s.Name, types.ServiceConditionCompletedSuccessfully) {
		svc.Health = &runtime.Health{Kind: "done", Timeout: 10 * time.Minute}
	}
	return nil
}

// within is after how long compose calls a service unhealthy, and not less than
// what any service gets.
func within(h *types.HealthCheckConfig) time.Duration {
	limit := time.Duration(0)
	if h != nil {
		interval, timeout, retries := 30*time.Second, 30*time.Second, uint64(3)
		if h.Interval != nil {
			interval = time.Duration(*h.Interval)
		}
		if h.Timeout != nil {
			timeout = time.Duration(*h.Timeout)
		}
		if h.Retries != nil {
			retries = *h.Retries
		}
		if h.StartPeriod != nil {
			limit = time.Duration(*h.StartPeriod)
		}
		limit += time.Duration(retries) * (interval + timeout)
	}
	return max(limit, runtime.DefaultHealthTimeout)
}

// awaited reports whether another service waits for that of a service.
func (c *converter) awaited(name, condition string) bool {
	for _, s := range c.project.Services {
		if s.DependsOn[name].Condition == condition {
			return true
		}
	}
	return false
}

// publish publishes ports if that was asked for: two worlds cannot both have
// a port of the host, and the project itself may be up.
func (c *converter) publish(s *types.ServiceConfig, svc *runtime.Service) {
	for _, p := range s.Ports {
		if p.Published == "" {
			continue
		}
		if !c.r.q.Publish {
			c.r.leave("steps reach a service in its world; ports = True publishes them, and runs one test at a time", "services."+s.Name+".ports")
			return
		}
		svc.Settings.Alone = true
	}
}

// judge notes which services cannot be up in two worlds at once.
func (c *converter) judge(services []*runtime.Service) {
	for _, s := range services {
		for _, a := range s.Settings.Networks {
			if a.Network.Subnet != "" {
				s.Settings.Alone = true
			}
		}
		for _, m := range s.Settings.Mounts {
			if m.Host != "" && !m.ReadOnly && isDir(m.Host) {
				s.Settings.Alone = true
			}
		}
	}
}
