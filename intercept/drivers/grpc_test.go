package drivers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"faultbox/intercept"
	fbgrpc "faultbox/protocols/grpc"
)

// grpcClient is a client of the interoperability service.
func grpcClient(t testing.TB, addr string, options ...grpc.DialOption) testpb.TestServiceClient {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("same"))
	c, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return testpb.NewTestServiceClient(c)
}

func payload(size int) *testpb.Payload {
	return &testpb.Payload{Body: bytes.Repeat([]byte("payload "), size/8)}
}

// outcome describes how a call ended.
func outcome(err error) string {
	if s, ok := status.FromError(err); ok {
		return fmt.Sprintf("%v %q %v", s.Code(), s.Message(), s.Details())
	}
	return fmt.Sprint(err)
}

// grpcCalls are the cases of gRPC's interoperability tests: each tells what it
// saw.
var grpcCalls = map[string]func(ctx context.Context, c testpb.TestServiceClient) string{
	"empty unary": func(ctx context.Context, c testpb.TestServiceClient) string {
		_, err := c.EmptyCall(ctx, &testpb.Empty{})
		return outcome(err)
	},
	"large unary": func(ctx context.Context, c testpb.TestServiceClient) string {
		res, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 3_000_000, Payload: payload(2_700_000)})
		return fmt.Sprint(len(res.GetPayload().GetBody()), outcome(err))
	},
	"metadata": func(ctx context.Context, c testpb.TestServiceClient) string {
		var head, tail metadata.MD
		ctx = metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", "initial", "x-grpc-test-echo-trailing-bin", "\x0a\x0b\x00")
		_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 1}, grpc.Header(&head), grpc.Trailer(&tail))
		return fmt.Sprint(head, tail, outcome(err))
	},
	"status and message": func(ctx context.Context, c testpb.TestServiceClient) string {
		_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 2, Message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"}})
		return outcome(err)
	},
	"unimplemented": func(ctx context.Context, c testpb.TestServiceClient) string {
		_, err := c.UnimplementedCall(ctx, &testpb.Empty{})
		return outcome(err)
	},
	"client streaming": func(ctx context.Context, c testpb.TestServiceClient) string {
		s, err := c.StreamingInputCall(ctx)
		for i := 0; i < 30 && err == nil; i++ {
			err = s.Send(&testpb.StreamingInputCallRequest{Payload: payload(i * 3000)})
		}
		res, err := s.CloseAndRecv()
		return fmt.Sprint(res.GetAggregatedPayloadSize(), outcome(err))
	},
	"server streaming": func(ctx context.Context, c testpb.TestServiceClient) string {
		req := &testpb.StreamingOutputCallRequest{}
		for i := range 40 {
			req.ResponseParameters = append(req.ResponseParameters, &testpb.ResponseParameters{Size: int32(i * 3000)})
		}
		s, err := c.StreamingOutputCall(ctx, req)
		if err != nil {
			return outcome(err)
		}
		return received(s)
	},
	"both ways": func(ctx context.Context, c testpb.TestServiceClient) string {
		s, err := c.FullDuplexCall(ctx)
		var seen []string
		for i := 0; i < 20 && err == nil; i++ {
			s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(i * 500), ResponseParameters: []*testpb.ResponseParameters{{Size: int32(i * 4001)}}})
			var res *testpb.StreamingOutputCallResponse
			if res, err = s.Recv(); err == nil {
				seen = append(seen, fmt.Sprint(len(res.Payload.Body)))
			}
		}
		if err == nil {
			s.CloseSend()
			_, err = s.Recv()
		}
		return fmt.Sprint(seen, outcome(err))
	},
	"cancelled": func(ctx context.Context, c testpb.TestServiceClient) string {
		ctx, cancel := context.WithCancel(ctx)
		s, err := c.FullDuplexCall(ctx)
		if err == nil {
			s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 31415}}})
			_, err = s.Recv()
		}
		cancel()
		if err == nil {
			_, err = s.Recv()
		}
		return outcome(err)
	},
	"deadline": func(ctx context.Context, c testpb.TestServiceClient) string {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		s, err := c.FullDuplexCall(ctx)
		if err == nil {
			s.Send(&testpb.StreamingOutputCallRequest{Payload: payload(1000), ResponseParameters: []*testpb.ResponseParameters{{Size: 10, IntervalUs: 10_000_000}}})
			_, err = s.Recv()
		}
		return status.Code(err).String()
	},
}

// received drains the answer of a server-streaming call.
func received(s interface {
	Recv() (*testpb.StreamingOutputCallResponse, error)
	Trailer() metadata.MD
}) string {
	var sizes []int
	for {
		res, err := s.Recv()
		if err == io.EOF {
			return fmt.Sprint(sizes, " EOF ", s.Trailer())
		}
		if err != nil {
			return fmt.Sprint(sizes, " ", outcome(err))
		}
		sizes = append(sizes, len(res.Payload.Body))
	}
}

func TestGRPCGoUntouched(t *testing.T) {
	server, _ := GRPC(t)
	addr, log := Front(t, fbgrpc.Protocol, server, never(t, fbgrpc.Protocol, "method"))
	direct, armed := grpcClient(t, server), grpcClient(t, addr)
	for name, call := range grpcCalls {
		t.Run(name, func(t *testing.T) {
			Compared(t, fbgrpc.Protocol, server, "grpc-go", name)
			equalLines(t, []string{call(t.Context(), direct)}, []string{call(t.Context(), armed)})
		})
	}
	// All of them at once, on one connection.
	Compared(t, fbgrpc.Protocol, server, "grpc-go", "all calls at once on one connection")
	var work sync.WaitGroup
	for range 10 {
		for name, call := range grpcCalls {
			work.Go(func() {
				if want, got := call(t.Context(), direct), call(t.Context(), armed); want != got {
					t.Errorf("%s: directly %.300s but armed %.300s", name, want, got)
				}
			})
		}
	}
	work.Wait()
	log.Wait(t, "that failed", func(ev *intercept.Event) bool {
		return ev.Op == "/grpc.testing.TestService/UnaryCall" && ev.Err == "UNKNOWN" && ev.Outcome == intercept.Answered
	})
	log.Wait(t, "that was cancelled", func(ev *intercept.Event) bool {
		return ev.Op == "/grpc.testing.TestService/FullDuplexCall" && ev.Err == "CANCEL" && ev.Outcome == intercept.Answered
	})
	untouched(t, log)
}

// grpcScript has @grpc/grpc-js make the same calls; a file of definitions is
// its argument.
const grpcScript = `
const grpc = require('@grpc/grpc-js'), loader = require('@grpc/proto-loader');
const def = grpc.loadPackageDefinition(loader.loadSync(process.argv[3], { keepCase: true }));
const client = new def.grpc.testing.TestService(process.argv[2], grpc.credentials.createInsecure(), { 'grpc.default_authority': 'same', 'grpc.max_receive_message_length': -1 });
const say = (...a) => console.log(JSON.stringify(a));
const body = n => ({ body: Buffer.alloc(n, 'x') });
const seen = e => e ? [grpc.status[e.code], e.details, e.metadata && e.metadata.get('x-trailing')] : 'ok';
const unary = (name, req, md) => new Promise(done => client[name](req, md || new grpc.Metadata(), (e, r) => { say(name, seen(e), r && r.payload && r.payload.body.length); done(); }));
const stream = (name, call, after) => new Promise(done => {
  const got = [];
  call.on('data', d => { got.push(d.payload && d.payload.body ? d.payload.body.length : 0); if (after) after(call, got.length); });
  call.on('error', e => { say(name, got, seen(e)); done(); });
  call.on('end', () => { say(name, got, 'end'); });
  call.on('status', s => { if (s.code === 0) done(); });
});
(async () => {
  await unary('EmptyCall', {});
  await unary('UnaryCall', { response_size: 314159, payload: body(271828) });
  await unary('UnaryCall', { response_status: { code: 9, message: 'ünicode % ☺' } });
  await unary('UnimplementedCall', {});
  const sizes = Array.from({ length: 20 }, (_, i) => ({ size: i * 4000 }));
  await stream('StreamingOutputCall', client.StreamingOutputCall({ response_parameters: sizes }));
  await new Promise(done => {
    const call = client.StreamingInputCall((e, r) => { say('StreamingInputCall', seen(e), r && r.aggregated_payload_size); done(); });
    for (let i = 0; i < 20; i++) call.write({ payload: body(i * 3000) });
    call.end();
  });
  const duplex = client.FullDuplexCall();
  duplex.write({ response_parameters: [{ size: 100 }], payload: body(10) });
  await stream('FullDuplexCall', duplex, (call, n) => { if (n < 10) call.write({ response_parameters: [{ size: n * 100 }], payload: body(10) }); else call.end(); });
  const cancelled = client.FullDuplexCall();
  cancelled.write({ response_parameters: [{ size: 100 }], payload: body(10) });
  await stream('cancelled', cancelled, call => call.cancel());
  await unary('UnaryCall', { response_size: 5, payload: body(5) });
  client.close();
})();
`

// grpcProto is as much of gRPC's interoperability service as clients without
// generated code need.
const grpcProto = `syntax = "proto3";
package grpc.testing;
message Empty {}
message Payload { int32 type = 1; bytes body = 2; }
message EchoStatus { int32 code = 1; string message = 2; }
message SimpleRequest { int32 response_size = 2; Payload payload = 3; EchoStatus response_status = 7; }
message SimpleResponse { Payload payload = 1; }
message StreamingInputCallRequest { Payload payload = 1; }
message StreamingInputCallResponse { int32 aggregated_payload_size = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; }
message StreamingOutputCallRequest { repeated ResponseParameters response_parameters = 2; Payload payload = 3; EchoStatus response_status = 7; }
message StreamingOutputCallResponse { Payload payload = 1; }
service TestService {
  rpc EmptyCall(Empty) returns (Empty);
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc UnimplementedCall(Empty) returns (Empty);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc StreamingInputCall(stream StreamingInputCallRequest) returns (StreamingInputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
}
`

func protoFile(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "test.proto")
	if err := os.WriteFile(file, []byte(grpcProto), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestGRPCNodeUntouched(t *testing.T) {
	server, _ := GRPC(t)
	addr, log := Front(t, fbgrpc.Protocol, server, never(t, fbgrpc.Protocol, "method"))
	Compared(t, fbgrpc.Protocol, server, "grpc-js", "unary, large", "status and message", "streaming in, out, both ways", "cancelled", "unimplemented")
	modules := npm(t, "grpc", "@grpc/grpc-js", "@grpc/proto-loader")
	definitions := protoFile(t)
	direct := node(t, modules, grpcScript, server, definitions)
	if len(direct) < 9 || !strings.Contains(direct[2], "FAILED_PRECONDITION") {
		t.Fatalf("the script does not do its work: %q", direct)
	}
	equalLines(t, direct, node(t, modules, grpcScript, addr, definitions))
	untouched(t, log)
}

// grpcPython has grpcio (C core) make calls, without generated code.
const grpcPython = `
import sys, grpc
ch = grpc.insecure_channel(sys.argv[1], options=[('grpc.default_authority', 'same')])
same = lambda b: b
def field(n, b):
    def varint(v):
        out = b''
        while v > 127: out += bytes([v & 127 | 128]); v >>= 7
        return out + bytes([v])
    return bytes([n << 3 | 2]) + varint(len(b)) + b if isinstance(b, bytes) else bytes([n << 3]) + varint(b)
payload = lambda n: field(3, field(2, b'x' * n))
S = '/grpc.testing.TestService/'
def tell(name, f):
    try: print(name, f())
    except grpc.RpcError as e: print(name, e.code().name, e.details(), sorted(k for k, v in (e.trailing_metadata() or [])))
unary = lambda m: ch.unary_unary(S + m, same, same)
tell('empty', lambda: unary('EmptyCall')(b'', timeout=20))
tell('large', lambda: len(unary('UnaryCall')(field(2, 314159) + payload(271828), timeout=20)))
tell('status', lambda: unary('UnaryCall')(field(7, field(1, 10) + field(2, 'g\u00fc % \u263a'.encode())), timeout=20))
tell('none', lambda: unary('UnimplementedCall')(b'', timeout=20))
tell('server streaming', lambda: [len(r) for r in ch.unary_stream(S + 'StreamingOutputCall', same, same)(b''.join(field(2, field(1, i * 4000)) for i in range(20)), timeout=20)])
tell('client streaming', lambda: ch.stream_unary(S + 'StreamingInputCall', same, same)(iter([field(1, field(2, b'x' * i * 3000)) for i in range(20)]), timeout=20))
tell('both ways', lambda: [len(r) for r in ch.stream_stream(S + 'FullDuplexCall', same, same)(iter([field(2, field(1, i * 1000)) for i in range(10)]), timeout=20)])
def cancelled():
    call = ch.stream_stream(S + 'FullDuplexCall', same, same)(iter([field(2, field(1, 10)), field(2, field(1, 10) + field(2, 20000000))]), timeout=20)
    n = len(next(call)); call.cancel()
    try: next(call)
    except grpc.RpcError as e: return n, call.code().name
tell('cancelled', cancelled)
def late():
    call = ch.stream_stream(S + 'FullDuplexCall', same, same)(iter([field(2, field(1, 10) + field(2, 20000000))]), timeout=0.05)
    try: return len(next(call))
    except grpc.RpcError: return call.code().name
tell('deadline', late)
`

// grpcio runs a script by the Python that Debian's packages are for.
func grpcio(t testing.TB, script string, args ...string) []string {
	t.Helper()
	const python = "/usr/bin/python3"
	if exec.Command(python, "-c", "import grpc").Run() != nil {
		t.Skip("needs grpcio: apt-get install -y --no-install-recommends python3-grpcio")
	}
	out, err := exec.CommandContext(t.Context(), python, append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestGRPCPythonUntouched(t *testing.T) {
	server, _ := GRPC(t)
	addr, log := Front(t, fbgrpc.Protocol, server, never(t, fbgrpc.Protocol, "method"))
	Compared(t, fbgrpc.Protocol, server, "grpcio (C core)", "unary, large", "status and message", "streaming in, out, both ways", "cancelled", "deadline", "unimplemented")
	direct := grpcio(t, grpcPython, server)
	if len(direct) != 9 || !strings.Contains(direct[2], "ABORTED") {
		t.Fatalf("the script does not do its work: %q", direct)
	}
	equalLines(t, direct, grpcio(t, grpcPython, addr))
	untouched(t, log)
}
