package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// honoured are the attributes that are done as they say. What lies below one
// belongs to it, unless a part of it is listed as well.
var honoured = strings.Fields(`
	name version include services networks volumes configs secrets

	services.*.build.args services.*.build.context services.*.build.dockerfile services.*.build.dockerfile_inline
	services.*.build.extra_hosts services.*.build.labels services.*.build.network services.*.build.shm_size services.*.build.target
	services.*.annotations services.*.blkio_config services.*.cap_add services.*.cap_drop services.*.cgroup services.*.cgroup_parent
	services.*.command services.*.configs services.*.cpu_period services.*.cpu_quota services.*.cpu_rt_period
	services.*.cpu_rt_runtime services.*.cpu_shares services.*.cpus services.*.cpuset services.*.depends_on.*.condition services.*.depends_on.*.required
	services.*.deploy.resources.limits.cpus services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
	services.*.deploy.resources.reservations.memory services.*.deploy.restart_policy.condition services.*.deploy.restart_policy.max_attempts
	services.*.device_cgroup_rules services.*.devices services.*.dns services.*.dns_opt services.*.dns_search services.*.domainname
	services.*.entrypoint services.*.env_file services.*.environment services.*.expose services.*.extends services.*.extra_hosts
	services.*.group_add services.*.healthcheck services.*.hostname services.*.image services.*.init services.*.label_file
	services.*.labels services.*.links services.*.logging services.*.mac_address services.*.mem_limit services.*.mem_reservation
	services.*.mem_swappiness services.*.memswap_limit services.*.networks.*.aliases services.*.networks.*.ipv4_address
	services.*.networks.*.mac_address services.*.oom_kill_disable services.*.oom_score_adj services.*.pids_limit services.*.privileged
	services.*.profiles services.*.read_only services.*.restart services.*.runtime services.*.secrets services.*.security_opt
	services.*.shm_size services.*.stdin_open services.*.stop_signal services.*.storage_opt services.*.sysctls services.*.tmpfs
	services.*.tty services.*.ulimits services.*.user services.*.userns_mode services.*.uts services.*.working_dir

	networks.*.attachable networks.*.driver_opts networks.*.enable_ipv4 networks.*.internal networks.*.labels
	networks.*.ipam.config
	volumes.*.driver volumes.*.driver_opts volumes.*.labels
	configs.*.content configs.*.environment configs.*.file configs.*.labels
	secrets.*.environment secrets.*.file secrets.*.labels
`)

// harmless are attributes that make no difference to what a test observes.
var harmless = map[string]string{
	"services.*.attach":                             "", // whose output the docker command shows
	"services.*.develop":                            "", // what `docker compose watch` does
	"services.*.pull_policy":                        "an image is fetched when it is not on this machine",
	"services.*.pull_refresh_after":                 "an image is fetched when it is not on this machine",
	"services.*.stop_grace_period":                  "a service has 5s to end, and is killed then",
	"services.*.container_name":                     "every world has containers of its own; the name is an alias on its networks",
	"services.*.build.cache_from":                   "images are built from the engine's own cache",
	"services.*.build.cache_to":                     "images are built from the engine's own cache",
	"services.*.build.no_cache":                     "an image is built once for the same content",
	"services.*.build.no_cache_filter":              "an image is built once for the same content",
	"services.*.build.pull":                         "an image is built once for the same content",
	"services.*.build.provenance":                   "it is about publishing the image",
	"services.*.build.sbom":                         "it is about publishing the image",
	"services.*.build.tags":                         "the image is not published",
	"services.*.deploy.labels":                      "it is about swarms",
	"services.*.deploy.update_config":               "it is about swarms",
	"services.*.deploy.rollback_config":             "it is about swarms",
	"services.*.deploy.placement":                   "it is about swarms",
	"services.*.deploy.endpoint_mode":               "it is about swarms",
	"services.*.deploy.restart_policy.delay":        "the pause before a restart is Docker's own",
	"services.*.deploy.restart_policy.window":       "the pause before a restart is Docker's own",
	"services.*.deploy.resources.reservations.cpus": "it is about swarms",
	"networks.*.name":                               "", // every world has networks and volumes of its own: their names are not seen from within
	"volumes.*.name":                                "",
	"configs.*.name":                                "",
	"secrets.*.name":                                "",
}

// conditional attributes are honoured if their value is one of those; the
// functions return why it is not.
var conditional = map[string]func(value any) string{
	"services.*.ports":                             nil, // see publish
	"services.*.volumes":                           nil, // see mounts
	"services.*.platform":                          nil, // see convert
	"services.*.network_mode":                      oneOf("bridge", "default"),
	"services.*.ipc":                               oneOf("private", "shareable", "host", "none"),
	"services.*.pid":                               oneOf("host"),
	"services.*.isolation":                         oneOf("default"),
	"services.*.scale":                             oneOf(1),
	"services.*.deploy.replicas":                   oneOf(1),
	"services.*.deploy.mode":                       oneOf("replicated"),
	"services.*.depends_on.*.restart":              oneOf(true, false),
	"services.*.networks.*.priority":               nil, // orders what is one network each
	"services.*.networks.*.gw_priority":            oneOf(0),
	"services.*.networks.*.use_service_name_alias": oneOf(true),
	"services.*.build.privileged":                  oneOf(false),
	"services.*.use_api_socket":                    oneOf(false),
	"networks.*.driver":                            oneOf("bridge", ""),
	"networks.*.enable_ipv6":                       oneOf(false),
	"networks.*.external":                          oneOf(false),
	"networks.*.ipam.driver":                       oneOf("default", ""),
	"volumes.*.external":                           oneOf(false),
	"configs.*.external":                           oneOf(false),
	"secrets.*.external":                           oneOf(false),
}

func oneOf(values ...any) func(any) string {
	return func(got any) string {
		var words []string
		for _, v := range values {
			if fmt.Sprint(v) == fmt.Sprint(got) {
				return ""
			}
			if v != "" {
				words = append(words, fmt.Sprint(v))
			}
		}
		return fmt.Sprintf("only %s can be", strings.Join(words, " or "))
	}
}

// reasons say more about what cannot be honoured than that.
var reasons = map[string]string{
	"networks.*.external":        "a world has networks of its own, and what others have on that one is not part of it; with it ignored, it is made anew and empty",
	"volumes.*.external":         "tests would write into it; with it ignored, it is made anew and empty",
	"services.*.network_mode":    "a container must have a network of its own, so that what it does can be told from what others do",
	"services.*.scale":           "one container of a service is run; declare further services to have more",
	"services.*.deploy.replicas": "one container of a service is run; declare further services to have more",
	"services.*.volumes_from":    "name the volumes instead",
	"services.*.external_links":  "a world has nothing but what its spec declares",
	"networks.*.enable_ipv6":     "the networks of a world have IPv4",
}

// refusal is an attribute that cannot be honoured.
type refusal struct{ path, why string }

// supported lists the attributes that compose-go shall not call unsupported.
func supported() []tree.Path {
	var paths []tree.Path
	for _, p := range slices.Concat(honoured, keys(harmless), keys(conditional)) {
		paths = append(paths, tree.Path(p))
	}
	return paths
}

// patterns makes compose-go look at attributes as wholes.
func patterns() []loader.UnsupportedAttributePattern {
	var all []loader.UnsupportedAttributePattern
	for path, why := range harmless {
		all = append(all, loader.UnsupportedAttributePattern{Path: tree.Path(path), Detect: func(any) bool { return why != "" }})
	}
	for path, check := range conditional {
		all = append(all, loader.UnsupportedAttributePattern{Path: tree.Path(path), Detect: func(v any) bool { return check != nil && check(v) != "" }})
	}
	for _, path := range honoured {
		if !slices.ContainsFunc(supported(), func(other tree.Path) bool { return strings.HasPrefix(string(other), path+".") }) {
			all = append(all, loader.UnsupportedAttributePattern{Path: tree.Path(path), Detect: func(any) bool { return false }})
		}
	}
	return all
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// note takes what compose-go found.
func (r *reader) note(found []loader.UnsupportedAttribute) {
	for _, f := range found {
		path := string(f.Path)
		if pattern, why := match(harmless, f.Path); pattern != "" {
			r.leave(why, path)
			continue
		}
		why := ""
		if pattern, check := match(conditional, f.Path); pattern != "" && check != nil {
			why = check(f.Value)
		}
		if _, more := match(reasons, f.Path); more != "" {
			why = strings.TrimPrefix(why+": "+more, ": ")
		}
		r.cannot(path, why)
	}
}

// match returns the entry of a table that a path fits.
func match[V any](table map[string]V, path tree.Path) (pattern string, value V) {
	for p, v := range table {
		if path.Matches(tree.Path(p)) {
			return p, v
		}
	}
	return "", value
}

// cannot notes that an attribute cannot be honoured, unless the spec ignores it.
func (r *reader) cannot(path, why string) {
	r.refused = append(r.refused, refusal{path, why})
}

// leave notes that it goes on without an attribute.
func (r *reader) leave(why, path string) {
	if r.left == nil {
		r.left = map[string][]string{}
	}
	if !slices.Contains(r.left[why], path) {
		r.left[why] = append(r.left[why], path)
	}
}

// concerns reports whether an attribute is of something that is part of the project.
func concerns(p *types.Project, path string) bool {
	parts := strings.Split(path, ".")
	if len(parts) < 2 {
		return true
	}
	switch name := parts[1]; parts[0] {
	case "services":
		_, ok := p.Services[name]
		return ok
	case "networks":
		return slices.ContainsFunc(values(p.Services), func(s types.ServiceConfig) bool { _, ok := s.Networks[name]; return ok })
	case "volumes":
		return slices.ContainsFunc(values(p.Services), func(s types.ServiceConfig) bool {
			return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type == "volume" && v.Source == name })
		})
	}
	return true
}

func values(m types.Services) []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, s := range m {
		out = append(out, s)
	}
	return out
}
