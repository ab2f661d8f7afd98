package drivers

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"faultbox/intercept"
	"faultbox/protocols"
	fbgrpc "faultbox/protocols/grpc"
)

func grpcError(r protocols.Reply) intercept.Fault {
	r.Error = true
	return intercept.Fault{Do: intercept.Answer, Reply: &r}
}

// statusDetails is a google.rpc.Status as the spec takes it.
func statusDetails(t testing.TB, code codes.Code, message string) map[string]string {
	detail, err := anypb.New(durationpb.New(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(&spb.Status{Code: int32(code), Message: message, Details: []*anypb.Any{detail}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"details": base64.StdEncoding.EncodeToString(b)}
}

// listen is a call whose one message is answered by n.
func listen(ctx context.Context, c testpb.TestServiceClient, n int) string {
	req := &testpb.StreamingOutputCallRequest{}
	for range n {
		req.ResponseParameters = append(req.ResponseParameters, &testpb.ResponseParameters{Size: 10})
	}
	s, err := c.FullDuplexCall(metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-initial", "kept"))
	if err != nil {
		return outcome(err)
	}
	s.Send(req)
	got := received(s)
	head, _ := s.Header()
	return fmt.Sprint(got, head["x-grpc-test-echo-initial"])
}

func TestGRPCGoFaults(t *testing.T) {
	server, calls := GRPC(t)
	twoWays := grpcCalls["both ways"]
	for _, c := range []struct {
		name   string
		match  []string
		fault  intercept.Fault
		call   func(ctx context.Context, c testpb.TestServiceClient) string
		want   string
		served int64
		event  intercept.Outcome
	}{
		{"status by number", []string{"method", "/grpc.testing.TestService/EmptyCall"}, grpcError(protocols.Reply{Status: 14}), grpcCalls["empty unary"], `Unavailable "unavailable" []`, 0, intercept.Replaced},
		{"status by name", []string{"method", "/grpc.testing.TestService/*"}, grpcError(protocols.Reply{Code: "DEADLINE_EXCEEDED", Message: "zu spät, 100%\n"}), grpcCalls["empty unary"], `DeadlineExceeded "zu spät, 100%\n" []`, 0, intercept.Replaced},
		{"status by message", []string{"path", "*/EmptyCall"}, grpcError(protocols.Reply{Message: "disk full"}), grpcCalls["empty unary"], `ResourceExhausted "disk full" []`, 0, intercept.Replaced},
		{"details", nil, grpcError(protocols.Reply{Status: 8, Message: "slow down", Details: statusDetails(t, 8, "slow down")}), grpcCalls["empty unary"], `ResourceExhausted "slow down" [seconds:5]`, 0, intercept.Replaced},
		{"without the slash", []string{"method", "grpc.testing.TestService/EmptyCall"}, grpcError(protocols.Reply{Status: 14}), grpcCalls["empty unary"], `Unavailable "unavailable" []`, 0, intercept.Replaced},
		{"another method", []string{"method", "/grpc.testing.TestService/UnaryCall"}, grpcError(protocols.Reply{Status: 14}), grpcCalls["empty unary"], `OK "" []`, 1, ""},
		{"after", nil, after(grpcError(protocols.Reply{Status: 13})), grpcCalls["metadata"], `map[content-type:[application/grpc]]`, 1, intercept.Replaced},
		{"large request", nil, grpcError(protocols.Reply{Status: 14}), grpcCalls["large unary"], `0Unavailable "unavailable" []`, 0, intercept.Replaced},
		{"large answer, after", nil, after(grpcError(protocols.Reply{Status: 14})), grpcCalls["large unary"], `0Unavailable "unavailable" []`, 1, intercept.Replaced},
		{"client streaming", nil, grpcError(protocols.Reply{Status: 7}), grpcCalls["client streaming"], `0PermissionDenied "permission denied" []`, 0, intercept.Replaced},
		{"server streaming", nil, grpcError(protocols.Reply{Status: 14}), grpcCalls["server streaming"], `[] Unavailable "unavailable" []`, 0, intercept.Replaced},
		{"both ways", nil, grpcError(protocols.Reply{Status: 14}), twoWays, `[]Unavailable "unavailable" []`, 0, intercept.Replaced},
		{"after 3 messages", nil, grpcError(protocols.Reply{Status: 14, Messages: 3}), func(ctx context.Context, c testpb.TestServiceClient) string { return listen(ctx, c, 50) }, `[10 10 10] Unavailable "unavailable" [][kept]`, 1, intercept.Replaced},
		{"after 3 messages, after", nil, after(grpcError(protocols.Reply{Status: 14, Messages: 3})), func(ctx context.Context, c testpb.TestServiceClient) string { return listen(ctx, c, 50) }, `[10 10 10] Unavailable "unavailable" [][kept]`, 1, intercept.Replaced},
		{"after 3 messages, both ways", nil, grpcError(protocols.Reply{Code: "Aborted", Messages: 3}), twoWays, `[0 4001 8002]Aborted "aborted" []`, 1, intercept.Replaced},
		{"after more messages than there are", nil, grpcError(protocols.Reply{Status: 14, Messages: 30}), twoWays, `76019]EOF`, 1, intercept.Untouched},
		{"REFUSED_STREAM", nil, grpcError(protocols.Reply{Code: "REFUSED_STREAM"}), grpcCalls["empty unary"], `Unavailable "`, 0, intercept.Replaced},
		{"ENHANCE_YOUR_CALM after", nil, after(grpcError(protocols.Reply{Code: "ENHANCE_YOUR_CALM"})), grpcCalls["empty unary"], `ResourceExhausted "`, 1, intercept.Replaced},
		{"drop", nil, intercept.Fault{Do: intercept.Close}, grpcCalls["empty unary"], `Unavailable "`, 0, intercept.Dropped},
		{"drop after", nil, after(intercept.Fault{Do: intercept.Close}), grpcCalls["empty unary"], `Unavailable "`, 1, intercept.Dropped},
		{"drop after a large answer", nil, after(intercept.Fault{Do: intercept.Close}), grpcCalls["large unary"], `Unavailable "`, 1, intercept.Dropped},
		{"reset", nil, intercept.Fault{Do: intercept.Reset}, grpcCalls["empty unary"], `connection reset by peer" []`, 0, intercept.WasReset},
		{"truncate", nil, intercept.Fault{Do: intercept.Cut, Bytes: 200_000}, grpcCalls["large unary"], `Unavailable "error reading from server: `, 1, intercept.WasCut},
		{"twice", nil, intercept.Fault{Do: intercept.Twice}, grpcCalls["large unary"], `3000000OK "" []`, 2, intercept.Doubled},
		{"twice, streaming", nil, intercept.Fault{Do: intercept.Twice}, twoWays, `76019]EOF`, 2, intercept.Doubled},
		{"delay", nil, intercept.Fault{Delay: 30 * time.Millisecond}, twoWays, `76019]EOF`, 1, ""},
		{"delay after", nil, after(intercept.Fault{Delay: 30 * time.Millisecond}), twoWays, `76019]EOF`, 1, ""},
		{"delay beyond the deadline", nil, intercept.Fault{Delay: time.Hour}, func(ctx context.Context, c testpb.TestServiceClient) string {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // which it needs to connect as well
			defer cancel()
			return grpcCalls["empty unary"](ctx, c)
		}, `DeadlineExceeded "context deadline exceeded" []`, 0, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, fbgrpc.Protocol, server, "grpc-go", c.name)
			addr, log := Front(t, fbgrpc.Protocol, server, intercept.Rule{Match: Match(t, fbgrpc.Protocol, c.match...), Fault: c.fault, Trigger: intercept.Trigger{Prob: 1, Times: 5}})
			calls.Store(0)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			client := grpcClient(t, addr)
			if got := c.call(ctx, client); !strings.Contains(got, c.want) {
				t.Errorf("the client saw %.500s and not %s", got, c.want)
			}
			if n := calls.Load(); n != c.served {
				t.Errorf("the server had %d calls and not %d", n, c.served)
			}
			if c.event != "none" {
				log.Wait(t, "of the call", func(ev *intercept.Event) bool { return ev.Outcome == c.event })
			}
			if a := log.Tally()[0]; (a.Acted() == 0) != (c.event == intercept.Untouched || c.name == "another method") {
				t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
			}
			if notes := log.Notes(); len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// TestGRPCFaultsAmongCalls has faults strike calls on one connection while
// others go on there.
func TestGRPCFaultsAmongCalls(t *testing.T) {
	server, _ := GRPC(t)
	Struck(t, fbgrpc.Protocol, server, "grpc-go", "faults of six kinds among 560 calls on one connection")
	only := func(token string, f intercept.Fault) intercept.Rule {
		term, err := intercept.NewTerm(fbgrpc.Protocol, "headers", "x-fault", token)
		if err != nil {
			t.Fatal(err)
		}
		return intercept.Rule{Match: intercept.Match{term}, Fault: f}
	}
	pause := 20 * time.Millisecond
	addr, log := Front(t, fbgrpc.Protocol, server,
		only("error", grpcError(protocols.Reply{Status: 14})),
		only("after", after(grpcError(protocols.Reply{Status: 14}))),
		only("three", grpcError(protocols.Reply{Status: 14, Messages: 3})),
		only("delay", intercept.Fault{Delay: pause}),
		only("later", after(intercept.Fault{Delay: pause})),
		only("twice", intercept.Fault{Do: intercept.Twice}))
	direct, armed := grpcClient(t, server), grpcClient(t, addr)
	tokens := []string{"error", "after", "three", "delay", "later", "twice", "none"}
	var work sync.WaitGroup
	for i := range 70 {
		for name, call := range grpcCalls {
			if name == "cancelled" || name == "deadline" {
				continue
			}
			work.Go(func() {
				token := tokens[i%len(tokens)]
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-fault", token)
				want, got := call(ctx, direct), call(ctx, armed)
				fails := token == "error" || token == "after" || token == "three" && name == "both ways"
				if fails && !strings.Contains(got, `Unavailable "unavailable"`) || !fails && token != "three" && got != want {
					t.Errorf("%s with %s: %.300s, directly %.300s", name, token, got, want)
				}
			})
		}
	}
	work.Wait()
	for _, a := range log.Tally() {
		if a.Fired() != 80 {
			t.Errorf("%v fired %d times and not 80", a.Match, a.Fired())
		}
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// TestGRPCOthersFaults: what grpc-js and grpcio report.
func TestGRPCOthersFaults(t *testing.T) {
	server, _ := GRPC(t)
	error9 := grpcError(protocols.Reply{Status: 9, Message: "ümläut %"})
	addr, _ := Front(t, fbgrpc.Protocol, server,
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/EmptyCall"), Fault: error9},
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/UnaryCall"), Fault: after(error9)},
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/StreamingInputCall"), Fault: error9},
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/StreamingOutputCall"), Fault: grpcError(protocols.Reply{Status: 14, Messages: 5})},
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/UnimplementedCall"), Fault: grpcError(protocols.Reply{Code: "CANCEL"})})
	others := []string{"error", "error after", "error, client streaming", "error after 5 messages", "stream reset: CANCEL"}
	t.Run("grpc-js", func(t *testing.T) {
		Struck(t, fbgrpc.Protocol, server, "grpc-js", others...)
		got := node(t, npm(t, "grpc", "@grpc/grpc-js", "@grpc/proto-loader"), grpcScript, addr, protoFile(t))
		equalLines(t, []string{
			`["EmptyCall",["FAILED_PRECONDITION","ümläut %",[]],null]`,
			`["UnaryCall",["FAILED_PRECONDITION","ümläut %",[]],null]`,
			`["UnaryCall",["FAILED_PRECONDITION","ümläut %",[]],null]`,
			`["UnimplementedCall",["CANCELLED","Call cancelled",[]],null]`,
			`["StreamingOutputCall",[0,4000,8000,12000,16000],["UNAVAILABLE","unavailable",[]]]`,
			`["StreamingOutputCall",[0,4000,8000,12000,16000],"end"]`,
			`["StreamingInputCall",["FAILED_PRECONDITION","ümläut %",[]],null]`,
		}, got[:min(7, len(got))])
		if last := got[len(got)-1]; last != `["UnaryCall",["FAILED_PRECONDITION","ümläut %",[]],null]` {
			t.Errorf("the last line is %s", last)
		}
	})
	t.Run("grpcio", func(t *testing.T) {
		Struck(t, fbgrpc.Protocol, server, "grpcio (C core)", others...)
		got := grpcio(t, grpcPython, addr)
		equalLines(t, []string{
			`empty FAILED_PRECONDITION ümläut % []`,
			`large FAILED_PRECONDITION ümläut % []`,
			`status FAILED_PRECONDITION ümläut % []`,
			`none CANCELLED Received RST_STREAM with error code 8 []`,
			`server streaming UNAVAILABLE unavailable []`,
			`client streaming FAILED_PRECONDITION ümläut % []`,
		}, got[:min(6, len(got))])
		if len(got) != 9 {
			t.Errorf("%d lines: %q", len(got), got)
		}
	})
}

// TestGRPCDeadline: the client's own deadline ends a call that is held up, and
// the connection goes on.
func TestGRPCDeadline(t *testing.T) {
	server, calls := GRPC(t)
	Struck(t, fbgrpc.Protocol, server, "grpc-go", "delay beyond the deadline, calls beside it")
	addr, _ := Front(t, fbgrpc.Protocol, server, intercept.Rule{
		Match: Match(t, fbgrpc.Protocol, "method", "*/EmptyCall"), Fault: intercept.Fault{Delay: time.Hour}})
	c := grpcClient(t, addr)
	grpcCalls["large unary"](t.Context(), c) // the deadline is not for connecting
	calls.Store(0)
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := c.EmptyCall(ctx, &testpb.Empty{})
		cancel()
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the call that is held up ended with %v", err)
		}
		if got := grpcCalls["large unary"](t.Context(), c); got != `3000000OK "" []` {
			t.Errorf("a call beside it: %s", got)
		}
	}
	if n := calls.Load(); n != 10 {
		t.Errorf("the server had %d calls and not 10", n)
	}
}
