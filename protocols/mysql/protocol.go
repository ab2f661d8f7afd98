package mysql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// Protocol is the MySQL client/server protocol.
var Protocol = &protocols.Protocol{
	Name: "mysql",
	Doc:  "client/server protocol 10: MySQL, MariaDB, Percona Server, Aurora MySQL, TiDB, Vitess, PlanetScale, SingleStore, OceanBase, Dolt",
	Port: 3306,
	Fields: map[string]protocols.Field{
		"query":   {Of: "query", Fold: true, Normalize: dialect.Normalize},
		"method":  protocols.OpField,
		"command": protocols.OpField,
		"key":     protocols.KeyField,
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	ServerFirst: true,
	UpgradesTLS: true,
	Check:       check,
	New:         func() protocols.Codec { return new(codec) },
}

// check validates and completes an error: Code becomes the error number,
// Message is never empty, Close is set where the server ends the session.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("response(…) is not for mysql: a made-up result would need the types of its columns; use error(…)")
	case r.Status != 0 || r.Value != nil || r.Headers != nil:
		return errors.New("a mysql error has message= and code= only")
	case len(r.Details) > 0:
		return errors.New("a mysql error has no severity, detail or hint: put the text into message=")
	case len(r.Message) > 512:
		return fmt.Errorf("the message has %d bytes: clients take 512 at most", len(r.Message))
	case strings.IndexByte(r.Message, 0) >= 0:
		return errors.New("message has a zero byte in it, which clients take for its end")
	}
	n, err := number(r.Code, r.Message)
	if err != nil {
		return err
	}
	r.Code = strconv.Itoa(n)
	if r.Message == "" {
		r.Message = textOf(n)
	}
	r.Close = endsSession(n)
	return nil
}

// endsSession reports whether the connection ends with this error: the server
// has no place for the client, shuts down or was told to end the session; or
// it is the client itself that calls a lost connection so.
func endsSession(n int) bool {
	switch n {
	case 1040, 1053, 1079, 1129, 1130, 1152, 1153, 1184, 1203, 1927, 2006, 2013, 3169, 4031:
		return true
	}
	return false
}
