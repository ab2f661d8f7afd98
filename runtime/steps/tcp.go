package steps

import (
	"context"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"faultbox/runtime"
)

const (
	// answerTimeout is how long send waits for an answer, unless told.
	answerTimeout = 5 * time.Second
	// quiet is the pause after which an answer counts as complete.
	quiet = 50 * time.Millisecond
	// maxAnswer bounds what one send reads.
	maxAnswer = 16 << 20
)

// tcpSteps sends bytes and takes what comes back.
type tcpSteps struct{}

func (tcpSteps) Methods() []runtime.Method {
	return []runtime.Method{{
		Name: "send",
		Doc: "Sends data, or the bytes that hex names, on the session's connection and returns what comes back as body " +
			"(data is the same in hexadecimal): everything up to a pause of 50 ms after the first byte, or the end of the stream. " +
			"No byte within timeout (default 5s) is a failure with error_code \"timeout\", an end before the first byte one with \"EOF\"; " +
			"timeout = \"0s\" waits for no answer. With neither data nor hex it only reads. A connection that the server ended is made anew by the next send.",
		Params: sendParams,
	}}
}

var sendParams = []runtime.Param{
	{Name: "data", Kind: runtime.String},
	{Name: "hex", Kind: runtime.String},
	{Name: "timeout", Kind: runtime.Duration},
}

func (tcpSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &tcpSession{e: e}, nil
}

// Ping succeeds when the server accepts a connection.
func (tcpSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	l, err := connect(ctx, e, true)
	if err != nil {
		return err
	}
	return l.Close()
}

type tcpSession struct {
	e    runtime.Endpoint
	link *link
}

func (s *tcpSession) Close() error {
	if s.link == nil {
		return nil
	}
	err := s.link.Close()
	s.link = nil
	return err
}

func (s *tcpSession) Do(ctx context.Context, _ string, args runtime.Args) runtime.Response {
	out, err := payload(args)
	if err != nil {
		return failed(context.Background(), err)
	}
	if s.link != nil {
		if alive, _ := s.link.idle(); !alive {
			s.Close()
		}
	}
	if s.link == nil {
		if s.link, err = connect(ctx, s.e, true); err != nil {
			s.link = nil
			return failed(ctx, err)
		}
	}
	stop := s.link.closeWith(ctx)
	answer, err := s.exchange(out, args)
	if !stop() || err != nil && errorCode(err) != "timeout" {
		s.Close()
	}
	if err == io.EOF && len(answer) > 0 {
		err = nil
	}
	resp := runtime.Response{OK: true}
	if err != nil {
		resp = failed(ctx, err)
	}
	resp.Body, resp.Data = string(answer), hex.EncodeToString(answer)
	return resp
}

// exchange writes and reads. io.EOF is the end of the server's stream.
func (s *tcpSession) exchange(out []byte, args runtime.Args) ([]byte, error) {
	if len(out) > 0 {
		if _, err := s.link.Write(out); err != nil {
			return nil, err
		}
	}
	limit := answerTimeout
	if d, given := args["timeout"].(time.Duration); given {
		limit = d
	}
	if limit <= 0 {
		return nil, nil
	}
	end := time.Now().Add(limit)
	defer s.link.SetReadDeadline(time.Time{})
	var answer []byte
	buf := make([]byte, 32<<10)
	for {
		until := end
		if len(answer) > 0 {
			until = minTime(end, time.Now().Add(quiet))
		}
		s.link.SetReadDeadline(until)
		n, err := s.link.Read(buf)
		answer = append(answer, buf[:n]...)
		switch {
		case len(answer) > maxAnswer:
			return answer, misused("read answer: it is larger than %d MB", maxAnswer>>20)
		case err == nil:
		case timedOut(err):
			if len(answer) > 0 {
				return answer, nil
			}
			return nil, &timeoutError{limit}
		default:
			return answer, err
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// payload returns the bytes that data= or hex= stands for.
func payload(args runtime.Args) ([]byte, error) {
	if args.Str("hex") == "" {
		return []byte(args.Str("data")), nil
	}
	if args.Str("data") != "" {
		return nil, misused("send: give data or hex, not both")
	}
	digits := strings.Join(strings.Fields(args.Str("hex")), "")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, misused("send hex %q: want pairs of hexadecimal digits, blanks are ignored", args.Str("hex"))
	}
	return b, nil
}
