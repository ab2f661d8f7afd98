package steps

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"

	"faultbox/runtime"
)

// mongodbSteps logs in with MONGO_INITDB_ROOT_USERNAME and
// MONGO_INITDB_ROOT_PASSWORD of the service's environment, if they are there,
// and uses MONGO_INITDB_DATABASE, or "test", where a step names no database.
//
// Values that a spec has no type for are written as in extended JSON
// ({"$oid": …}, {"$date": …}); in what comes back an ObjectID is a string of
// hexadecimal digits and a date is RFC 3339.
type mongodbSteps struct{}

func (mongodbSteps) Methods() []runtime.Method {
	collection := runtime.Param{Name: "collection", Kind: runtime.String, Required: true}
	database := runtime.Param{Name: "database", Kind: runtime.String}
	filter := runtime.Param{Name: "filter", Kind: runtime.Dict}
	return []runtime.Method{
		{Name: "find", Doc: "Finds documents: data is the list of those that match filter. sort is {field: 1 or -1}, or a list of such dicts.",
			Params: []runtime.Param{collection, filter, {Name: "sort", Kind: runtime.Any}, {Name: "limit", Kind: runtime.Int}, {Name: "projection", Kind: runtime.Dict}, database}},
		{Name: "insert", Doc: "Inserts one document: data is its _id.",
			Params: []runtime.Param{collection, {Name: "document", Kind: runtime.Dict, Required: true}, database}},
		{Name: "insert_many", Doc: "Inserts documents: data is the list of their _ids. Unless ordered, one that fails does not stop the others.",
			Params: []runtime.Param{collection, {Name: "documents", Kind: runtime.List, Required: true}, {Name: "ordered", Kind: runtime.Bool, Default: true}, database}},
		{Name: "update", Doc: "Updates the first document that matches filter, or with many all of them: data is {\"matched\", \"modified\", \"upserted\"}. update is a document, or operators such as {\"$set\": …}.",
			Params: []runtime.Param{collection, {Name: "filter", Kind: runtime.Dict, Required: true}, {Name: "update", Kind: runtime.Dict, Required: true},
				{Name: "many", Kind: runtime.Bool}, {Name: "upsert", Kind: runtime.Bool}, database}},
		{Name: "delete", Doc: "Deletes the documents that match filter, or without many the first: data is their number.",
			Params: []runtime.Param{collection, filter, {Name: "many", Kind: runtime.Bool, Default: true}, database}},
		{Name: "count", Doc: "Counts the documents that match filter.", Params: []runtime.Param{collection, filter, database}},
		{Name: "command", Doc: "Runs {cmd: value, **args}: data is the server's answer. value is the collection, where the command has one.",
			Params: []runtime.Param{{Name: "cmd", Kind: runtime.String, Required: true}, {Name: "value", Kind: runtime.Any, Default: int64(1)}, {Name: "args", Kind: runtime.Dict}, database}},
	}
}

func (mongodbSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &mongodbSession{e: e}, nil
}

// Ping succeeds when the server answers ping to who has logged in.
func (mongodbSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &mongodbSession{e: e}
	defer s.Close()
	if resp := s.Do(ctx, "command", runtime.Args{"cmd": "ping", "value": int64(1)}); !resp.OK {
		return fmt.Errorf("ping mongodb: %s", resp.Error)
	}
	return nil
}

type mongodbSession struct {
	e    runtime.Endpoint
	conn *mongodbConn // nil: none yet
}

func (s *mongodbSession) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.link.Close()
	s.conn = nil
	return err
}

func (s *mongodbSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	step, err := mongodbCommand(method, args)
	if err != nil {
		return failed(context.Background(), err)
	}
	if s.conn != nil {
		if alive, first := s.conn.link.idle(); !alive || first != 0 {
			s.Close()
		}
	}
	if s.conn == nil {
		if s.conn, err = mongodbConnect(ctx, s.e); err != nil {
			return mongodbFailure(ctx, err)
		}
	}
	database := args.Str("database")
	if database == "" {
		database = s.e.Service.Getenv("MONGO_INITDB_DATABASE")
	}
	if database == "" {
		database = "test"
	}
	stop := s.conn.link.closeWith(ctx)
	data, err := step(func(command bson.D) (bson.D, error) { return s.conn.run(ctx, database, command) })
	ended := !stop()
	if resp := mongodbFailure(ctx, err); err != nil {
		if ended || !mongodbAnswered(err) {
			s.Close()
		}
		return resp
	}
	if ended {
		s.Close()
	}
	resp := runtime.Response{OK: true, Data: data}
	if one, ok := text(data); ok {
		resp.Body = one
	} else if data != nil {
		resp.Body, _ = encodeJSON(data)
	}
	return resp
}

// mongodbFailure is the response to a step that failed, in the server's words
// if it said any. Its code is the server's number.
func mongodbFailure(ctx context.Context, err error) runtime.Response {
	var command driver.Error
	var write driver.WriteCommandError
	switch {
	case errors.As(err, &write) && len(write.WriteErrors) > 0:
		return runtime.Response{Error: write.WriteErrors[0].Message, ErrorCode: strconv.FormatInt(write.WriteErrors[0].Code, 10), Body: bson.Raw(write.Raw).String()}
	case errors.As(err, &write) && write.WriteConcernError != nil:
		return runtime.Response{Error: write.WriteConcernError.Message, ErrorCode: strconv.FormatInt(write.WriteConcernError.Code, 10), Body: bson.Raw(write.Raw).String()}
	case errors.As(err, &command) && command.Code != 0:
		return runtime.Response{Error: command.Message, ErrorCode: strconv.FormatInt(int64(command.Code), 10), Body: bson.Raw(command.Raw).String()}
	case err == nil:
		return runtime.Response{}
	}
	return failed(ctx, err)
}

// mongodbAnswered reports whether an error is one that the server told of.
func mongodbAnswered(err error) bool {
	var command driver.Error
	var write driver.WriteCommandError
	return errors.As(err, &write) || errors.As(err, &command) && command.Code != 0
}

// mongodbStep performs a step by means of run, which performs a command.
type mongodbStep func(run func(bson.D) (bson.D, error)) (data any, err error)

// mongodbCommand turns a step into its commands.
func mongodbCommand(method string, args runtime.Args) (mongodbStep, error) {
	var bad error
	document := func(name string) bson.D {
		d, err := mongodbDocument(args[name])
		if err != nil && bad == nil {
			bad = misused("%s: %s: %v", method, name, err)
		}
		return d
	}
	collection := args.Str("collection")
	flag := func(name string) bool { b, _ := args[name].(bool); return b }
	var step mongodbStep
	switch method {
	case "find":
		command := bson.D{{Key: "find", Value: collection}, {Key: "filter", Value: document("filter")}}
		if order, err := mongodbSort(args["sort"]); err != nil {
			bad = err
		} else if len(order) > 0 {
			command = append(command, bson.E{Key: "sort", Value: order})
		}
		if n := args.Int("limit"); n != 0 {
			command = append(command, bson.E{Key: "limit", Value: n})
		}
		if p := document("projection"); len(p) > 0 {
			command = append(command, bson.E{Key: "projection", Value: p})
		}
		step = mongodbFind(collection, command)
	case "insert":
		step = mongodbInsert(collection, []bson.D{document("document")}, true, true)
	case "insert_many":
		list, _ := args["documents"].([]any)
		docs := make([]bson.D, len(list))
		for i, v := range list {
			var err error
			if docs[i], err = mongodbDocument(v); err != nil {
				return nil, misused("insert_many: documents[%d]: %v", i, err)
			}
		}
		if len(docs) == 0 {
			return nil, misused("insert_many: documents is empty")
		}
		step = mongodbInsert(collection, docs, flag("ordered"), false)
	case "update":
		step = mongodbUpdate(collection, document("filter"), document("update"), flag("many"), flag("upsert"))
	case "delete":
		limit := int32(1)
		if flag("many") {
			limit = 0
		}
		step = mongodbCounted(bson.D{{Key: "delete", Value: collection},
			{Key: "deletes", Value: bson.A{bson.D{{Key: "q", Value: document("filter")}, {Key: "limit", Value: limit}}}}})
	case "count":
		step = mongodbCounted(bson.D{{Key: "count", Value: collection}, {Key: "query", Value: document("filter")}})
	default:
		command := bson.D{{Key: args.Str("cmd"), Value: nil}}
		wrapped, err := mongodbDocument(map[string]any{"value": args["value"]})
		if err != nil {
			return nil, misused("command: value: %v", err)
		}
		command[0].Value = wrapped[0].Value
		command = append(command, document("args")...)
		step = func(run func(bson.D) (bson.D, error)) (any, error) {
			answer, err := run(command)
			return mongodbValue(answer), err
		}
	}
	return step, bad
}

// mongodbCounted performs a command that answers with a number.
func mongodbCounted(command bson.D) mongodbStep {
	return func(run func(bson.D) (bson.D, error)) (any, error) {
		answer, err := run(command)
		return mongodbValue(mongodbField(answer, "n")), err
	}
}

func mongodbUpdate(collection string, filter, update bson.D, many, upsert bool) mongodbStep {
	return func(run func(bson.D) (bson.D, error)) (any, error) {
		answer, err := run(bson.D{{Key: "update", Value: collection}, {Key: "updates", Value: bson.A{
			bson.D{{Key: "q", Value: filter}, {Key: "u", Value: update}, {Key: "multi", Value: many}, {Key: "upsert", Value: upsert}}}}})
		data := map[string]any{"matched": mongodbValue(mongodbField(answer, "n")), "modified": mongodbValue(mongodbField(answer, "nModified")), "upserted": nil}
		if list, ok := mongodbField(answer, "upserted").(bson.A); ok && len(list) > 0 {
			if one, ok := list[0].(bson.D); ok {
				data["upserted"], data["matched"] = mongodbValue(mongodbField(one, "_id")), int64(0)
			}
		}
		return data, err
	}
}

func mongodbInsert(collection string, docs []bson.D, ordered, one bool) mongodbStep {
	ids := make([]any, len(docs))
	for i, d := range docs {
		id := mongodbField(d, "_id")
		if id == nil {
			id = bson.NewObjectID()
			docs[i] = append(bson.D{{Key: "_id", Value: id}}, d...)
		}
		ids[i] = mongodbValue(id)
	}
	return func(run func(bson.D) (bson.D, error)) (any, error) {
		_, err := run(bson.D{{Key: "insert", Value: collection}, {Key: "documents", Value: docs}, {Key: "ordered", Value: ordered}})
		if one {
			return ids[0], err
		}
		return ids, err
	}
}

// mongodbFind performs a find, and a getMore for each further batch.
func mongodbFind(collection string, command bson.D) mongodbStep {
	return func(run func(bson.D) (bson.D, error)) (any, error) {
		found := []any{}
		for {
			answer, err := run(command)
			if err != nil {
				return nil, err
			}
			cursor, _ := mongodbField(answer, "cursor").(bson.D)
			for _, batch := range []string{"firstBatch", "nextBatch"} {
				docs, _ := mongodbField(cursor, batch).(bson.A)
				for _, d := range docs {
					found = append(found, mongodbValue(d))
				}
			}
			id, _ := mongodbField(cursor, "id").(int64)
			if id == 0 {
				return found, nil
			}
			command = bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: collection}}
		}
	}
}
