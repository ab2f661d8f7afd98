package steps

import (
	"context"
	"encoding/hex"
	"time"

	"faultbox/runtime"
)

// udpSteps sends a datagram and takes one back.
type udpSteps struct{}

func (udpSteps) Methods() []runtime.Method {
	return []runtime.Method{{
		Name: "send",
		Doc: "Sends data, or the bytes that hex names, as one datagram and returns the first datagram that comes back as body " +
			"(data is the same in hexadecimal). None within timeout (default 5s) is a failure with error_code \"timeout\"; " +
			"timeout = \"0s\" waits for none. Each send has a source port of its own, so that a late answer is not taken for another's.",
		Params: sendParams,
	}}
}

func (udpSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return udpSession{e}, nil
}

type udpSession struct{ e runtime.Endpoint }

func (udpSession) Close() error { return nil }

func (s udpSession) Do(ctx context.Context, _ string, args runtime.Args) runtime.Response {
	out, err := payload(args)
	if err != nil {
		return failed(context.Background(), err)
	}
	limit := answerTimeout
	if d, given := args["timeout"].(time.Duration); given {
		limit = d
	}
	answer, err := exchangeDatagram(ctx, s.e, out, limit, nil)
	if err != nil {
		return failed(ctx, err)
	}
	return runtime.Response{OK: true, Body: string(answer), Data: hex.EncodeToString(answer)}
}
