package postgres

import (
	"fmt"
	"strings"

	"faultbox/protocols"
	"faultbox/protocols/sqltext"
)

// Protocol is the PostgreSQL wire protocol.
var Protocol = &protocols.Protocol{
	Name: "postgres",
	Doc:  "frontend/backend protocol 3: PostgreSQL, Aurora, AlloyDB, Neon, TimescaleDB, Citus, CockroachDB, YugabyteDB, Materialize, PgBouncer",
	Port: 5432,
	Fields: map[string]protocols.Field{
		"query":  {Of: "text", Fold: true, Normalize: sqltext.Normalize},
		"method": protocols.OpField,
		"key":    protocols.KeyField,
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	UpgradesTLS: true,
	Check:       check,
	New:         func() protocols.Codec { return newCodec() },
}

// check validates and completes an error: Code becomes a SQLSTATE, Message is
// never empty, Details["severity"] and Close are set.
func check(r *protocols.Reply) error {
	if !r.Error {
		return fmt.Errorf("response(…) is not for postgres: a made-up result would need the types of its columns; use error(…)")
	}
	if r.Status != 0 || r.Value != nil || r.Headers != nil {
		return fmt.Errorf("a postgres error has message=, code=, severity=, detail= and hint= only")
	}
	code, err := sqlstate(r.Code, r.Message)
	if err != nil {
		return err
	}
	r.Code = code
	if r.Message == "" {
		r.Message = conditionOf(code)
	}
	for name, v := range r.Details {
		switch {
		case name != "severity" && name != "detail" && name != "hint":
			return fmt.Errorf("unknown part %q of a postgres error: severity, detail and hint are known", name)
		case strings.IndexByte(v, 0) >= 0:
			return fmt.Errorf("%s has a zero byte in it, which the protocol can't carry", name)
		}
	}
	if strings.IndexByte(r.Message, 0) >= 0 {
		return fmt.Errorf("message has a zero byte in it, which the protocol can't carry")
	}
	severity := strings.ToUpper(r.Details["severity"])
	switch severity {
	case "":
		severity = severityOf(code, r.Message)
	case "ERROR", "FATAL", "PANIC":
	default:
		return fmt.Errorf("unknown severity %q: ERROR, FATAL (which closes the connection) or PANIC", r.Details["severity"])
	}
	details := map[string]string{"severity": severity}
	for name, v := range r.Details {
		if name != "severity" {
			details[name] = v
		}
	}
	r.Details = details
	r.Close = severity != "ERROR"
	return nil
}
