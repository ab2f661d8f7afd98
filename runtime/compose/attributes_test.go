package compose

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
)

// What the tables name are attributes that there are, each in one table.
func TestTables(t *testing.T) {
	real := schema.AttributePaths()
	seen := map[string]bool{}
	for _, path := range slices.Concat(honoured, keys(harmless), keys(conditional)) {
		if seen[path] {
			t.Errorf("%s is listed twice", path)
		}
		seen[path] = true
		if !slices.ContainsFunc(real, func(p tree.Path) bool { return string(p) == path || strings.HasPrefix(string(p), path+".") }) {
			t.Errorf("%s is no attribute of compose files", path)
		}
	}
	for path := range reasons {
		if !slices.ContainsFunc(real, func(p tree.Path) bool { return string(p) == path }) {
			t.Errorf("%s is no attribute of compose files", path)
		}
		if slices.Contains(honoured, path) {
			t.Errorf("%s is honoured, and a reason is given why not", path)
		}
	}
}

func TestGuess(t *testing.T) {
	for _, c := range []struct {
		image string
		ports []int
		env   []string
		want  string
	}{
		{image: "postgres:16-alpine", want: "main postgres 5432"},
		{image: "docker.io/bitnami/postgresql@sha256:0123", want: "main postgres 5432"},
		{image: "registry:5000/team/redis", want: "main redis 6379"},
		{image: "redis/redisinsight", ports: []int{5540}, want: "main tcp 5540"},
		{image: "prometheuscommunity/postgres-exporter", ports: []int{9187}, want: "main tcp 9187"},
		{image: "mongo", want: "main mongodb 27017"},
		{image: "mongo-express", ports: []int{8081}, want: "main http 8081"},
		{image: "confluentinc/cp-kafka", env: []string{"KAFKA_ADVERTISED_LISTENERS=IN://kafka1:19092,OUT://localhost:9092"}, want: "main kafka 19092"},
		{image: "confluentinc/cp-kafka", want: "main kafka 9092"},
		{image: "provectuslabs/kafka-ui", ports: []int{8080}, want: "main http 8080"},
		{image: "rabbitmq:3-management", want: "main amqp 5672"},
		{image: "", ports: []int{3000, 9229}, want: "main http 3000; tcp_9229 tcp 9229"},
		{image: "shop/api", ports: []int{50051}, want: "main grpc 50051"},
		{image: "worker", want: ""},
	} {
		var got []string
		for _, g := range Guess(c.image, c.ports, c.env) {
			got = append(got, fmt.Sprintf("%s %s %d", g.Name, g.Protocol, g.Port))
			if g.Why == "" {
				t.Errorf("%s: no reason is given", c.image)
			}
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s %v: %s, want %s", c.image, c.ports, s, c.want)
		}
	}
}
