package drivers

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

// GRPC starts grpc-go's interoperability test server for the test, with health
// and reflection (v1 and v1alpha). calls counts the calls it was asked for.
func GRPC(t testing.TB, options ...grpc.ServerOption) (addr string, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	options = append(options,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			calls.Add(1)
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			calls.Add(1)
			return next(srv, s)
		}))
	s := grpc.NewServer(options...)
	testpb.RegisterTestServiceServer(s, interop.NewTestServer())
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	serves(ln.Addr().String(), "grpc-go "+grpc.Version, "")
	return ln.Addr().String(), calls
}
