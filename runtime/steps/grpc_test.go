package steps

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"faultbox/intercept"
	"faultbox/intercept/drivers"
	"faultbox/protocols"
	fbgrpc "faultbox/protocols/grpc"
	"faultbox/runtime"
)

const testService = "/grpc.testing.TestService/"

func TestGRPC(t *testing.T) {
	addr, _ := drivers.GRPC(t)
	byFile := endpoint("grpc", addr)
	byFile.Interface.Descriptors = []string{descriptorFile(t)}
	for name, e := range map[string]*dialled{"reflection": endpoint("grpc", addr), "descriptors": byFile} {
		t.Run(name, func(t *testing.T) {
			s := session(t, e)
			for _, step := range []struct {
				method string
				body   any
				data   any
			}{
				{"EmptyCall", nil, map[string]any{}},
				{"UnaryCall", map[string]any{"responseSize": int64(2), "payload": map[string]any{"body": "AAAA"}}, map[string]any{
					"payload": map[string]any{"type": "COMPRESSABLE", "body": "AAA="}, "username": "", "oauthScope": "", "serverId": "", "hostname": "", "grpclbRouteType": "GRPCLB_ROUTE_TYPE_UNKNOWN"}},
				{"StreamingInputCall", []any{map[string]any{"payload": map[string]any{"body": "AAAA"}}, `{"payload": {"body": "AA=="}}`}, map[string]any{"aggregatedPayloadSize": int64(4)}},
				{"StreamingOutputCall", `{"responseParameters": [{"size": 1}, {"size": 2}]}`, []any{
					map[string]any{"payload": map[string]any{"type": "COMPRESSABLE", "body": "AA=="}, "peerSocketAddress": ""}, map[string]any{"payload": map[string]any{"type": "COMPRESSABLE", "body": "AAA="}, "peerSocketAddress": ""}}},
				{"FullDuplexCall", []any{map[string]any{"responseParameters": []any{map[string]any{"size": int64(1)}}}, map[string]any{}}, []any{map[string]any{"payload": map[string]any{"type": "COMPRESSABLE", "body": "AA=="}, "peerSocketAddress": ""}}},
			} {
				resp := do(t, s, e, "call", runtime.Args{"method": testService + step.method, "body": step.body})
				if !resp.OK || resp.Status != 0 || !reflect.DeepEqual(resp.Data, step.data) {
					t.Errorf("%s %v: got %+v, want %v", step.method, step.body, resp, step.data)
				}
			}
			resp := do(t, s, e, "call", runtime.Args{"method": "grpc.testing.TestService/UnaryCall", "headers": map[string]any{"X-Grpc-Test-Echo-Initial": "a", "x-grpc-test-echo-trailing-bin": "b"}})
			if resp.Headers["x-grpc-test-echo-initial"] != "a" || resp.Headers["x-grpc-test-echo-trailing-bin"] != "Yg==" {
				t.Errorf("headers %v", resp.Headers)
			}
			for _, f := range []struct {
				method string
				body   any
				status int
				code   string
				error  string
			}{
				{testService + "UnaryCall", map[string]any{"responseStatus": map[string]any{"code": int64(8), "message": "full"}}, 8, "RESOURCE_EXHAUSTED", "full"},
				{testService + "UnaryCall", map[string]any{"responseStatus": map[string]any{"code": int64(1), "message": "x"}}, 1, "CANCELLED", "x"},
				{testService + "UnimplementedCall", nil, 12, "UNIMPLEMENTED", ""},
				{testService + "UnaryCall", map[string]any{"none": int64(1)}, 0, "EINVAL", "body is no grpc.testing.SimpleRequest"},
				{testService + "UnaryCall", []any{map[string]any{}}, 0, "EINVAL", "one message, not a list"},
				{testService + "NoCall", nil, 0, "EINVAL", "there are EmptyCall, UnaryCall"},
				{"/no.Service/Call", nil, 0, "EINVAL", "no such service"},
				{"Call", nil, 0, "EINVAL", "want a full method"},
			} {
				resp := do(t, s, e, "call", runtime.Args{"method": f.method, "body": f.body})
				if resp.OK || resp.Status != f.status || resp.ErrorCode != f.code || !strings.Contains(resp.Error, f.error) {
					t.Errorf("%s %v: got %+v, want %+v", f.method, f.body, resp, f)
				}
			}
			if n := e.dials.Load(); n != 1 {
				t.Errorf("%d connections for all steps, want 1", n)
			}
			if err := (grpcSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
				t.Error(err)
			}
		})
	}
}

// descriptorFile is a FileDescriptorSet of the test service.
func descriptorFile(t testing.TB) string {
	set := &descriptorpb.FileDescriptorSet{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(testpb.File_grpc_testing_test_proto)
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "test.pb")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestGRPCFaults: what faults of an edge look like in a step, which is one try.
func TestGRPCFaults(t *testing.T) {
	server, calls := drivers.GRPC(t)
	answer := func(r protocols.Reply) intercept.Fault {
		r.Error = true
		return intercept.Fault{Do: intercept.Answer, Reply: &r}
	}
	for _, f := range []struct {
		name, method string
		fault        intercept.Fault
		status       int
		code         string
		data         any
		calls        int64 // of the method
	}{
		{"status", "EmptyCall", answer(protocols.Reply{Status: 14}), 14, "UNAVAILABLE", nil, 0},
		{"status after", "EmptyCall", intercept.Fault{Do: intercept.Answer, When: intercept.After, Reply: &protocols.Reply{Error: true, Status: 4}}, 4, "DEADLINE_EXCEEDED", nil, 1},
		{"refused", "EmptyCall", answer(protocols.Reply{Code: "REFUSED_STREAM"}), 14, "UNAVAILABLE", nil, 0},
		{"drop", "EmptyCall", intercept.Fault{Do: intercept.Close}, 0, "EOF", nil, 0},
		{"reset", "EmptyCall", intercept.Fault{Do: intercept.Reset}, 0, "ECONNRESET", nil, 0},
		{"stream breaks off", "StreamingOutputCall", answer(protocols.Reply{Status: 14, Messages: 1}), 14, "UNAVAILABLE",
			[]any{map[string]any{"payload": map[string]any{"type": "COMPRESSABLE", "body": "AA=="}, "peerSocketAddress": ""}}, 1},
	} {
		t.Run(f.name, func(t *testing.T) {
			addr, _ := drivers.Front(t, fbgrpc.Protocol, server, intercept.Rule{
				Match: drivers.Match(t, fbgrpc.Protocol, "method", testService+f.method), Fault: f.fault, Trigger: intercept.Trigger{Prob: 1, Nth: 1}})
			e := endpoint("grpc", addr)
			e.Interface.Descriptors = []string{descriptorFile(t)}
			s := session(t, e)
			args := runtime.Args{"method": testService + f.method}
			if f.method != "EmptyCall" {
				args["body"] = `{"responseParameters": [{"size": 1}, {"size": 2}]}`
			}
			calls.Store(0)
			resp := do(t, s, e, "call", args)
			if resp.OK || resp.Status != f.status || resp.ErrorCode != f.code || !reflect.DeepEqual(resp.Data, f.data) {
				t.Errorf("got %+v, want %+v", resp, f)
			}
			if n := calls.Load(); n != f.calls {
				t.Errorf("the server had %d calls, want %d", n, f.calls)
			}
			if resp := do(t, s, e, "call", args); !resp.OK {
				t.Errorf("the step after: %+v", resp)
			}
		})
	}
}

// TestGRPCTimeout: a step's own timeout is told apart from the server's word.
func TestGRPCTimeout(t *testing.T) {
	addr, _ := drivers.GRPC(t)
	e := endpoint("grpc", addr)
	s := session(t, e)
	args := runtime.Args{"method": testService + "FullDuplexCall", "timeout": 100 * time.Millisecond,
		"body": map[string]any{"responseParameters": []any{map[string]any{"size": int64(1), "intervalUs": int64(5_000_000)}}}}
	if resp := do(t, s, e, "call", args); resp.OK || resp.ErrorCode != "timeout" || resp.Error != "no answer within 100ms" {
		t.Errorf("got %+v", resp)
	}
	if resp := do(t, s, e, "call", runtime.Args{"method": testService + "EmptyCall"}); !resp.OK {
		t.Errorf("the step after: %+v", resp)
	}
}

// TestGRPCWithoutReflection: the step says what to do; ping needs neither
// reflection nor health.
func TestGRPCWithoutReflection(t *testing.T) {
	e := endpoint("grpc", grpcServer(t, nil))
	if resp := do(t, session(t, e), e, "call", runtime.Args{"method": testService + "EmptyCall"}); resp.ErrorCode != "EINVAL" || !strings.Contains(resp.Error, "descriptors=") {
		t.Errorf("got %+v", resp)
	}
	if err := (grpcSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
	sick := health.NewServer()
	sick.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	e = endpoint("grpc", grpcServer(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, sick) }))
	if err := (grpcSteps{}).Ping(context.Background(), e.Endpoint); err == nil || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("ping says %v", err)
	}
}

func grpcServer(t testing.TB, register func(*grpc.Server)) string {
	s := grpc.NewServer()
	if register != nil {
		register(s)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return ln.Addr().String()
}

// TestGRPCCodes: names are those of the specification.
func TestGRPCCodes(t *testing.T) {
	for code, want := range map[codes.Code]string{codes.OK: "OK", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Canceled: "CANCELLED", codes.Unauthenticated: "UNAUTHENTICATED"} {
		if got := grpcCode(code); got != want {
			t.Errorf("%v is %s and not %s", code, got, want)
		}
	}
}
