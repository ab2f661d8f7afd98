package steps

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"faultbox/runtime"
)

// timeoutError says that a step's own timeout ran out.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.limit) }
func (e *timeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded
}

// misuse says that a step's arguments make no sense.
type misuse struct{ msg string }

func (e *misuse) Error() string { return e.msg }

func misused(format string, args ...any) error { return &misuse{fmt.Sprintf(format, args...)} }

// failed is the response to a step that no server answered.
func failed(ctx context.Context, err error) runtime.Response {
	code := errorCode(err)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		code = "canceled"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = "timeout"
		}
	}
	return runtime.Response{Error: err.Error(), ErrorCode: code}
}

var errnoNames = []struct {
	errno syscall.Errno
	name  string
}{
	{syscall.ECONNREFUSED, "ECONNREFUSED"},
	{syscall.ECONNRESET, "ECONNRESET"},
	{syscall.ECONNABORTED, "ECONNABORTED"},
	{syscall.EPIPE, "EPIPE"},
	{syscall.ETIMEDOUT, "ETIMEDOUT"},
	{syscall.EHOSTUNREACH, "EHOSTUNREACH"},
	{syscall.ENETUNREACH, "ENETUNREACH"},
	{syscall.ENETDOWN, "ENETDOWN"},
	{syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL"},
	{syscall.EMSGSIZE, "EMSGSIZE"},
	{syscall.EACCES, "EACCES"},
	{syscall.EPERM, "EPERM"},
	{syscall.EMFILE, "EMFILE"},
}

// errorCode names an error that came from below the protocol.
func errorCode(err error) string {
	for _, e := range errnoNames {
		if errors.Is(err, e.errno) {
			return e.name
		}
	}
	var (
		m         *misuse
		timeout   net.Error
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &m):
		return "EINVAL"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "EOF"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &authority), strings.Contains(err.Error(), "tls: "):
		return "TLS"
	}
	return "EPROTO"
}
