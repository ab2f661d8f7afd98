package spec

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// responseValue is what a step returns. It is true when it is ok.
type responseValue struct {
	opaque
	resp    runtime.Response
	data    starlark.Value
	headers starlark.Value
}

func newResponse(r runtime.Response) *responseValue {
	return &responseValue{resp: r, data: fromGo(r.Data), headers: fromGo(r.Headers)}
}

var responseAttrs = []string{"body", "data", "duration_ms", "error", "error_code", "headers", "ok", "status"}

func (r *responseValue) Type() string         { return "response" }
func (r *responseValue) Truth() starlark.Bool { return starlark.Bool(r.resp.OK) }
func (r *responseValue) AttrNames() []string  { return slices.Clone(responseAttrs) }

func (r *responseValue) String() string {
	parts := []string{"ok=" + starlark.Bool(r.resp.OK).String()}
	if r.resp.Status != 0 {
		parts = append(parts, fmt.Sprintf("status=%d", r.resp.Status))
	}
	if r.resp.Error != "" {
		parts = append(parts, fmt.Sprintf("error=%q", r.resp.Error))
	}
	if r.resp.ErrorCode != "" {
		parts = append(parts, fmt.Sprintf("error_code=%q", r.resp.ErrorCode))
	}
	if r.resp.Body != "" {
		parts = append(parts, fmt.Sprintf("body=%q", r.resp.Body))
	}
	return "response(" + strings.Join(parts, ", ") + ")"
}

func (r *responseValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "status":
		return starlark.MakeInt(r.resp.Status), nil
	case "body":
		return starlark.String(r.resp.Body), nil
	case "data":
		return r.data, nil
	case "headers":
		return r.headers, nil
	case "ok":
		return starlark.Bool(r.resp.OK), nil
	case "error":
		return starlark.String(r.resp.Error), nil
	case "error_code":
		return starlark.String(r.resp.ErrorCode), nil
	case "duration_ms":
		return starlark.MakeInt64(r.resp.Duration.Milliseconds()), nil
	}
	return nil, nil
}
