package compose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"faultbox/runtime"
)

// known are servers by a part of their image's name, most telling first.
var known = []struct {
	image    string
	protocol string
	port     int
}{
	{"postgres", "postgres", 5432}, {"postgis", "postgres", 5432}, {"timescale", "postgres", 5432}, {"pgvector", "postgres", 5432},
	{"mysql", "mysql", 3306}, {"mariadb", "mysql", 3306}, {"percona", "mysql", 3306},
	{"redis", "redis", 6379}, {"valkey", "redis", 6379}, {"keydb", "redis", 6379}, {"dragonfly", "redis", 6379},
	{"kafka", "kafka", 9092}, {"redpanda", "kafka", 9092},
	{"mongo", "mongodb", 27017},
	{"rabbitmq", "amqp", 5672},
	{"nats", "nats", 4222},
	{"memcached", "memcached", 11211},
	{"nginx", "http", 80}, {"httpd", "http", 80}, {"caddy", "http", 80}, {"traefik", "http", 80},
}

// helpers are images that go by a server's name and are none.
var helpers = []string{"exporter", "commander", "admin", "express", "kafka-ui", "kafdrop", "schema-registry", "connect", "insight", "backup", "init", "adminer"}

// wellKnown are protocols by port.
var wellKnown = map[int]string{
	5432: "postgres", 3306: "mysql", 6379: "redis", 9092: "kafka", 27017: "mongodb", 5672: "amqp", 4222: "nats", 11211: "memcached",
	80: "http", 3000: "http", 4000: "http", 5000: "http", 5173: "http", 8000: "http", 8080: "http", 8081: "http", 8888: "http", 9000: "http", 50051: "grpc",
}

// Guess returns the interfaces that a container of that image with those ports
// probably has.
func Guess(image string, ports []int, env []string) []runtime.Guess {
	var out []runtime.Guess
	add := func(protocol string, port int, why string) {
		if slices.ContainsFunc(out, func(g runtime.Guess) bool { return g.Port == port }) {
			return
		}
		name := "main"
		if len(out) > 0 {
			name = fmt.Sprintf("%s_%d", protocol, port)
		}
		out = append(out, runtime.Guess{Name: name, Protocol: protocol, Port: port, Why: why})
	}
	name := imageName(image)
	helper := slices.ContainsFunc(helpers, func(h string) bool { return strings.Contains(name, h) })
	for _, k := range known {
		if helper || !strings.Contains(name, k.image) {
			continue
		}
		if k.protocol == "kafka" {
			for _, port := range advertised(env) {
				add("kafka", port, "image "+image+" and the addresses that it advertises")
			}
			if len(out) > 0 {
				return out
			}
		}
		add(k.protocol, k.port, "image "+image)
		return out
	}
	for _, port := range ports {
		protocol, why := wellKnown[port], fmt.Sprintf("port %d", port)
		switch {
		case protocol != "":
		case port >= 3000 && port < 4000 || port >= 8000 && port < 9000:
			protocol = "http"
		default:
			protocol = "tcp"
		}
		add(protocol, port, why)
	}
	return out
}

// imageName is the last part of an image's reference, without its tag.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	name, _, _ := strings.Cut(image, ":")
	return strings.ToLower(name)
}

// advertised returns the ports at which a Kafka broker tells clients to find
// it, but for those meant for the host's own.
func advertised(env []string) (ports []int) {
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		if !strings.HasSuffix(key, "ADVERTISED_LISTENERS") {
			continue
		}
		for _, listener := range strings.Split(value, ",") {
			_, addr, ok := strings.Cut(strings.TrimSpace(listener), "://")
			host, port, found := strings.Cut(addr, ":")
			n, err := strconv.Atoi(port)
			if ok && found && err == nil && host != "localhost" && host != "127.0.0.1" && !slices.Contains(ports, n) {
				ports = append(ports, n)
			}
		}
	}
	return ports
}

// ports are those that a service publishes or exposes to others, TCP only.
func ports(s *types.ServiceConfig) (all []int) {
	add := func(port int) {
		if port > 0 && !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	for _, p := range s.Ports {
		if p.Protocol != "udp" {
			add(int(p.Target))
		}
	}
	for _, text := range s.Expose {
		port, protocol, _ := strings.Cut(text, "/")
		if n, err := strconv.Atoi(port); err == nil && protocol != "udp" {
			add(n)
		}
	}
	return all
}

// localURL is what a health check asks.
var localURL = regexp.MustCompile(`https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::(\d+))?(/[^\s"'|;&]*)`)

// asked adds the path at which a service's health check asks it.
func asked(guesses []runtime.Guess, s *types.ServiceConfig) []runtime.Guess {
	if s.HealthCheck == nil {
		return guesses
	}
	m := localURL.FindStringSubmatch(strings.Join(s.HealthCheck.Test, " "))
	if m == nil {
		return guesses
	}
	port, _ := strconv.Atoi(cmp.Or(m[1], "80"))
	for i := range guesses {
		if g := &guesses[i]; g.Port == port && g.Protocol == "http" {
			g.Path = m[2]
		}
	}
	return guesses
}
