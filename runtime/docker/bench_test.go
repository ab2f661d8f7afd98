//go:build linux

package docker_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"faultbox/runtime/docker/dockertest"
)

// BenchmarkStart measures the start of a container until it listens: through
// the gate, with an edge of it intercepted, and as any client of the engine
// would. ns/op is that; stop-ms is what its end takes.
func BenchmarkStart(b *testing.B) {
	dockertest.Start(b).Images(b, "probe")
	ctx := context.Background()
	back, svc := probe("back"), probe("svc")
	b.Run("gate", func(b *testing.B) {
		bed := newBed(b, svc, back)
		w := &witness{}
		measure(b, bed, func() (stop func() error) {
			i := bed.start(b, svc, w, peerOf(bed, back))
			return func() error { return i.Stop(ctx) }
		})
	})
	b.Run("plain", func(b *testing.B) {
		bed := newBed(b, svc, back)
		cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
		if err != nil {
			b.Fatal(err)
		}
		defer cli.Close()
		name := bed.Must(b, "network", "ls", "--filter", "type=custom", "--format", "{{.Name}}")
		measure(b, bed, func() (stop func() error) {
			made, err := cli.ContainerCreate(ctx, &container.Config{Image: "faultbox/probe"}, &container.HostConfig{NetworkMode: container.NetworkMode(name)},
				&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
					name: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: bed.world.Peer(svc, svc.Interfaces[0]).Addr().String()}},
				}}, nil, "")
			if err == nil {
				err = cli.ContainerStart(ctx, made.ID, container.StartOptions{})
			}
			if err != nil {
				b.Fatal(err)
			}
			return func() error {
				return cli.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			}
		})
	})
}

// BenchmarkSuite measures twelve tests of two containers each, one after the
// other and four at once.
func BenchmarkSuite(b *testing.B) {
	dockertest.Start(b).Images(b, "probe")
	faultbox := dockertest.Faultbox(b)
	file := filepath.Join(b.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(twelve), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, jobs := range []string{"-j1", "-j4"} {
		b.Run(jobs, func(b *testing.B) {
			for b.Loop() {
				if out, err := exec.Command(faultbox, "test", file, jobs).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

const twelve = `
back = service("back", interface("main", "http", 8080), image = "faultbox/probe", env = {"GREETING": "hello"})
front = service("front", interface("main", "http", 8080), image = "faultbox/probe")
def hello():
    return front.get(path = "/fetch?url=http://back:8080/")
def make(n):
    fault_scenario("broken%d" % n, scenario = hello,
        faults = fault_assumption("teapot%d" % n, target = back.main, response(path = "/", status = 418, body = "no")),
        expect = lambda r: assert_eq(r.body, "418 no"))
for n in range(12):
    make(n)
`

func measure(b *testing.B, bed *bed, start func() (stop func() error)) {
	address := bed.world.Peer(probe("svc"), probe("svc").Interfaces[0]).String()
	var stopping time.Duration
	for b.Loop() {
		stop := start()
		for {
			c, err := bed.world.Dial(context.Background(), "tcp", address)
			if err == nil {
				c.Close()
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		begin := time.Now()
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		stopping += time.Since(begin)
		b.StartTimer()
	}
	b.ReportMetric(float64(stopping.Milliseconds())/float64(b.N), "stop-ms")
}
