package steps

import (
	"context"
	"fmt"

	"faultbox/runtime"
)

// sqlParams are what a statement's step takes, whatever the dialect.
var sqlParams = []runtime.Param{
	{Name: "sql", Kind: runtime.String, Required: true},
	{Name: "args", Kind: runtime.List},
	{Name: "user", Kind: runtime.String},
	{Name: "password", Kind: runtime.String},
	{Name: "database", Kind: runtime.String},
}

// sqlLogin is what a connection is for: steps with the same one share it.
type sqlLogin struct{ user, password, database string }

// pingSQL succeeds when the server lets s in and answers a query; it closes s.
func pingSQL(ctx context.Context, protocol string, s runtime.Session) error {
	defer s.Close()
	if resp := s.Do(ctx, "exec", runtime.Args{"sql": "SELECT 1"}); !resp.OK {
		return fmt.Errorf("ping %s: %s (%s)", protocol, resp.Error, resp.ErrorCode)
	}
	return nil
}
