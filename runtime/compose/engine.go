package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// engine writes the attributes that the engine's API has as well, as it has them.
func (c *converter) engine(s *types.ServiceConfig) (config, host json.RawMessage, err error) {
	e := &container.Config{
		Hostname: s.Hostname, Domainname: s.DomainName, Tty: s.Tty, OpenStdin: s.StdinOpen,
		Labels: s.Labels, StopSignal: s.StopSignal, Healthcheck: healthcheck(s.HealthCheck), ExposedPorts: nat.PortSet{},
	}
	for _, port := range s.Expose {
		if p, err := nat.NewPort(nat.SplitProtoPort(port)); err == nil {
			e.ExposedPorts[p] = struct{}{}
		}
	}
	security, err := securityOptions(s.SecurityOpt, c.project.WorkingDir)
	if err != nil {
		return nil, nil, err
	}
	h := &container.HostConfig{
		Annotations: s.Annotations, CapAdd: s.CapAdd, CapDrop: s.CapDrop, CgroupnsMode: container.CgroupnsMode(s.Cgroup),
		DNS: s.DNS, DNSOptions: s.DNSOpts, DNSSearch: s.DNSSearch, ExtraHosts: s.ExtraHosts.AsList(":"), GroupAdd: s.GroupAdd,
		IpcMode: container.IpcMode(s.Ipc), PidMode: container.PidMode(s.Pid), UTSMode: container.UTSMode(s.Uts),
		UsernsMode: container.UsernsMode(s.UserNSMode), OomScoreAdj: int(s.OomScoreAdj), Privileged: s.Privileged,
		ReadonlyRootfs: s.ReadOnly, SecurityOpt: security, StorageOpt: s.StorageOpt, ShmSize: int64(s.ShmSize),
		Sysctls: s.Sysctls, Runtime: s.Runtime, Init: s.Init, Tmpfs: tmpfs(s.Tmpfs), Resources: resources(s),
	}
	if s.Logging != nil {
		h.LogConfig = container.LogConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	}
	if c.r.q.Publish {
		if e.ExposedPorts, h.PortBindings, err = published(s, e.ExposedPorts); err != nil {
			return nil, nil, err
		}
	}
	if config, err = sparse(e); err == nil {
		host, err = sparse(h)
	}
	return config, host, err
}

// sparse writes what is set, so that it can be laid over something else.
func sparse(v any) (json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	maps.DeleteFunc(fields, func(_ string, v any) bool {
		x := reflect.ValueOf(v)
		switch {
		case v == nil || x.IsZero():
			return true
		case x.Kind() == reflect.Map || x.Kind() == reflect.Slice:
			return x.Len() == 0
		}
		return false
	})
	delete(fields, "ConsoleSize")
	if log, ok := fields["LogConfig"].(map[string]any); ok && log["Type"] == "" {
		delete(fields, "LogConfig")
	}
	return json.Marshal(fields)
}

func healthcheck(h *types.HealthCheckConfig) *container.HealthConfig {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	out := &container.HealthConfig{Test: h.Test}
	for _, d := range []struct {
		from *types.Duration
		to   *time.Duration
	}{{h.Interval, &out.Interval}, {h.Timeout, &out.Timeout}, {h.StartPeriod, &out.StartPeriod}, {h.StartInterval, &out.StartInterval}} {
		if d.from != nil {
			*d.to = time.Duration(*d.from)
		}
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

// tmpfs reads "/path" and "/path:options".
func tmpfs(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, entry := range list {
		path, options := entry, ""
		for i := range entry {
			if entry[i] == ':' {
				path, options = entry[:i], entry[i+1:]
				break
			}
		}
		out[path] = options
	}
	return out
}

// securityOptions are those of a service. The engine wants a profile's content
// where the file has its path.
func securityOptions(list []string, dir string) ([]string, error) {
	var out []string
	for _, option := range list {
		name, value, found := strings.Cut(option, "=")
		if !found {
			name, value, _ = strings.Cut(option, ":")
		}
		if name == "seccomp" && value != "unconfined" && value != "builtin" {
			path := value
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read its seccomp profile %s: %w", value, bare(err))
			}
			var profile bytes.Buffer
			if err := json.Compact(&profile, text); err != nil {
				return nil, fmt.Errorf("read its seccomp profile %s: %w", value, err)
			}
			option = "seccomp=" + profile.String()
		}
		out = append(out, option)
	}
	return out, nil
}

func resources(s *types.ServiceConfig) container.Resources {
	r := container.Resources{
		CgroupParent: s.CgroupParent,
		CPUShares:    s.CPUShares, Memory: int64(s.MemLimit), NanoCPUs: int64(float64(s.CPUS) * 1e9), CPUPeriod: s.CPUPeriod,
		CPUQuota: s.CPUQuota, CPURealtimePeriod: s.CPURTPeriod, CPURealtimeRuntime: s.CPURTRuntime, CpusetCpus: s.CPUSet,
		DeviceCgroupRules: s.DeviceCgroupRules, MemoryReservation: int64(s.MemReservation), MemorySwap: int64(s.MemSwapLimit),
	}
	if s.MemSwappiness != 0 {
		n := int64(s.MemSwappiness)
		r.MemorySwappiness = &n
	}
	if s.OomKillDisable {
		r.OomKillDisable = &s.OomKillDisable
	}
	if s.PidsLimit != 0 {
		r.PidsLimit = &s.PidsLimit
	}
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits := s.Deploy.Resources.Limits
		r.NanoCPUs = max(r.NanoCPUs, int64(float64(limits.NanoCPUs)*1e9))
		r.Memory = max(r.Memory, int64(limits.MemoryBytes))
		if limits.Pids != 0 {
			r.PidsLimit = &limits.Pids
		}
	}
	if s.Deploy != nil && s.Deploy.Resources.Reservations != nil {
		r.MemoryReservation = max(r.MemoryReservation, int64(s.Deploy.Resources.Reservations.MemoryBytes))
	}
	for _, d := range s.Devices {
		r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		u := s.Ulimits[name]
		limit := &container.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			limit.Soft, limit.Hard = int64(u.Single), int64(u.Single)
		}
		r.Ulimits = append(r.Ulimits, limit)
	}
	block(s.BlkioConfig, &r)
	return r
}

// block sets limits of block devices.
func block(b *types.BlkioConfig, r *container.Resources) {
	if b == nil {
		return
	}
	r.BlkioWeight = b.Weight
	for _, w := range b.WeightDevice {
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: w.Path, Weight: w.Weight})
	}
	throttle := func(devices []types.ThrottleDevice) (out []*blkiodev.ThrottleDevice) {
		for _, d := range devices {
			out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
		}
		return out
	}
	r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps = throttle(b.DeviceReadBps), throttle(b.DeviceWriteBps)
	r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps = throttle(b.DeviceReadIOps), throttle(b.DeviceWriteIOps)
}

// published is what of the service's ports is to be found on the host.
func published(s *types.ServiceConfig, exposed nat.PortSet) (nat.PortSet, nat.PortMap, error) {
	bindings := nat.PortMap{}
	for _, p := range s.Ports {
		port, err := nat.NewPort(p.Protocol, strconv.Itoa(int(p.Target)))
		if err != nil {
			return nil, nil, fmt.Errorf("read port %d: %w", p.Target, err)
		}
		exposed[port] = struct{}{}
		bindings[port] = append(bindings[port], nat.PortBinding{HostIP: p.HostIP, HostPort: p.Published})
	}
	return exposed, bindings, nil
}
