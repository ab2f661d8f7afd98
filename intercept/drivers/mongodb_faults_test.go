package drivers

import (
	"context"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/mongodb"
)

func mongoFault(message, code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message, Code: code}}
}

func insertOne(ctx context.Context, c *mongo.Collection) any {
	_, err := c.InsertOne(ctx, bson.M{"_id": 1})
	return mongoError(err)
}

// goMongoFaults says what the Go driver reports of each fault and which
// documents the server has afterwards.
var goMongoFaults = []struct {
	name   string
	match  []string
	fault  intercept.Fault
	do     func(ctx context.Context, c *mongo.Collection) any
	want   any
	stored []int32
	event  intercept.Outcome
}{
	{"error before", []string{"method", "insert", "key", "thi*"}, mongoFault("not primary", ""), insertOne,
		"10107 NotWritablePrimary not primary []", nil, intercept.Replaced},
	{"error after", []string{"command", "INSERT"}, after(mongoFault("exceeded time limit", "")), insertOne,
		"262 ExceededTimeLimit exceeded time limit []", []int32{1}, intercept.Replaced},
	{"code alone", []string{"collection", "things"}, mongoFault("", "Unauthorized"), insertOne,
		"13 Unauthorized not authorized to execute command []", nil, intercept.Replaced},
	{"code of no name", []string{"database", "work"}, mongoFault("strange", "54321"), insertOne,
		"54321 Location54321 strange []", nil, intercept.Replaced},
	{"write conflict", []string{"method", "insert"}, mongoFault("write conflict", ""), insertOne,
		"112 WriteConflict write conflict [TransientTransactionError]", nil, intercept.Replaced},
	{"all but what drivers do", []string{"method", "*"}, mongoFault("disk full", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			return []any{c.Database().Client().Ping(ctx, nil), insertOne(ctx, c)}
		}, []any{nil, "14031 OutOfDiskSpace disk full []"}, nil, intercept.Replaced},
	{"what drivers do, by name", []string{"method", "ping"}, mongoFault("shutting down", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			return []any{mongoError(c.Database().Client().Ping(ctx, nil)), insertOne(ctx, c)}
		}, []any{"91 ShutdownInProgress shutting down []", "ok"}, []int32{1}, intercept.Replaced},
	{"duplicate key", []string{"method", "insert"}, mongoFault("E11000 duplicate key error", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			_, err := c.InsertOne(ctx, bson.M{"_id": 1})
			return []any{mongo.IsDuplicateKeyError(err), mongoError(err)}
		}, []any{true, "write errors [E11000 duplicate key error]"}, nil, intercept.Replaced},
	{"duplicate keys, unordered", []string{"method", "insert"}, mongoFault("duplicate key", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			_, err := c.InsertMany(ctx, []any{bson.M{"_id": 1}, bson.M{"_id": 2}}, options.InsertMany().SetOrdered(false))
			return mongoError(err)
		}, "write errors [duplicate key duplicate key]", nil, intercept.Replaced},
	{"duplicate key of a command", []string{"method", "findAndModify"}, mongoFault("duplicate key", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			return mongoError(c.FindOneAndUpdate(ctx, bson.M{}, bson.M{"$set": bson.M{"a": 1}}).Err())
		}, "11000 DuplicateKey duplicate key []", nil, intercept.Replaced},
	{"write concern", []string{"method", "insert"}, after(mongoFault("waiting for replication timed out", "")), insertOne,
		"write concern 64 WriteConcernTimeout waiting for replication timed out", []int32{1}, intercept.Replaced},
	{"cursor", []string{"method", "getMore"}, mongoFault("cursor not found", ""),
		func(ctx context.Context, c *mongo.Collection) any {
			c.InsertMany(ctx, []any{bson.M{"_id": 1}, bson.M{"_id": 2}, bson.M{"_id": 3}})
			cursor, err := c.Find(ctx, bson.M{}, options.Find().SetBatchSize(2))
			if err != nil {
				return err
			}
			var all []bson.M
			return mongoError(cursor.All(ctx, &all))
		}, "43 CursorNotFound cursor not found []", []int32{1, 2, 3}, intercept.Replaced},
	{"twice", []string{"method", "update"}, intercept.Fault{Do: intercept.Twice},
		func(ctx context.Context, c *mongo.Collection) any {
			insertOne(ctx, c)
			r, err := c.UpdateOne(ctx, bson.M{"_id": 1}, bson.M{"$inc": bson.M{"n": 1}})
			var got struct{ N int }
			return []any{r.ModifiedCount, err, c.FindOne(ctx, bson.M{"_id": 1}).Decode(&got), got.N}
		}, []any{int64(1), nil, nil, 0}, []int32{1}, intercept.Doubled},
	{"close before", []string{"method", "insert"}, intercept.Fault{Do: intercept.Close}, insertOne, "network", nil, intercept.Dropped},
	{"close after", []string{"method", "insert"}, after(intercept.Fault{Do: intercept.Close}), insertOne, "network", []int32{1}, intercept.Dropped},
	{"reset before", []string{"method", "insert"}, intercept.Fault{Do: intercept.Reset}, insertOne, "network", nil, intercept.WasReset},
	{"cut", []string{"method", "find"}, intercept.Fault{Do: intercept.Cut, Bytes: 20},
		func(ctx context.Context, c *mongo.Collection) any { return mongoError(c.FindOne(ctx, bson.M{}).Err()) }, "network", nil, intercept.WasCut},
	{"delay", []string{"method", "insert"}, intercept.Fault{Delay: 50 * time.Millisecond},
		func(ctx context.Context, c *mongo.Collection) any {
			start := time.Now()
			return []any{insertOne(ctx, c), time.Since(start) >= 50*time.Millisecond}
		}, []any{"ok", true}, []int32{1}, intercept.Answered},
}

func TestGoMongoFaults(t *testing.T) {
	server := MongoDB(t)
	direct := goMongo(t, server).Database("work").Collection("things")
	for _, c := range goMongoFaults {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, mongodb.Protocol, server, "mongo-driver (Go)", c.name)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := direct.Drop(ctx); err != nil {
				t.Fatal(err)
			}
			addr, log := Front(t, mongodb.Protocol, server, intercept.Rule{Match: Match(t, mongodb.Protocol, c.match...), Fault: c.fault})
			got := c.do(ctx, goMongo(t, addr).Database("work").Collection("things"))
			if c.name == "twice" { // the two are done one after the other
				var doc struct{ N int }
				for ctx.Err() == nil && doc.N != 2 {
					direct.FindOne(ctx, bson.M{"_id": 1}).Decode(&doc)
				}
				got.([]any)[3] = 0
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the client saw %#v and not %#v", got, c.want)
			}
			var docs []struct {
				ID int32 `bson:"_id"`
			}
			cursor, err := direct.Find(ctx, bson.M{}, options.Find().SetSort(bson.M{"_id": 1}))
			if err == nil {
				err = cursor.All(ctx, &docs)
			}
			var stored []int32
			for _, d := range docs {
				stored = append(stored, d.ID)
			}
			if err != nil || !reflect.DeepEqual(stored, c.stored) {
				t.Errorf("the server has %v and not %v (%v)", stored, c.stored, err)
			}
			log.Wait(t, "that the rule acted on", func(ev *intercept.Event) bool { return len(ev.Rules) > 0 && ev.Outcome == c.event })
			if a := log.Tally()[0]; a.Acted() == 0 {
				t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
			}
			if notes := log.Notes(); len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// A driver that repeats writes does so because of the label, on the same server.
func TestGoMongoRetries(t *testing.T) {
	server := MongoDB(t)
	for _, message := range []string{"not primary", "primary stepped down", "interrupted at shutdown"} {
		Struck(t, mongodb.Protocol, server, "mongo-driver (Go)", "a write repeated after: "+message)
		addr, log := Front(t, mongodb.Protocol, server, intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "insert"),
			Trigger: intercept.Trigger{Prob: 1, Times: 1}, Fault: mongoFault(message, "")})
		c := goMongo(t, addr, options.Client().SetRetryWrites(true)).Database("work").Collection("retried")
		if _, err := c.InsertOne(t.Context(), bson.M{"message": message}); err != nil {
			t.Errorf("%s: %v", message, err)
		}
		if n, err := c.CountDocuments(t.Context(), bson.M{"message": message}); n != 1 || err != nil {
			t.Errorf("%s: stored %d times (%v)", message, n, err)
		}
		log.Wait(t, "with the error", func(ev *intercept.Event) bool { return ev.Outcome == intercept.Replaced })
	}
}

// A transaction whose second statement fails is aborted on the server and
// begun again by the driver.
func TestGoMongoTransactions(t *testing.T) {
	server := MongoDB(t)
	for _, c := range []struct {
		name             string
		rule             intercept.Rule
		runs             int
		commits, aborted int32 // that reach the server
	}{
		{"statement", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "insert"), Trigger: intercept.Trigger{Prob: 1, Nth: 2}, Fault: mongoFault("write conflict", "")}, 2, 1, 2},
		{"first statement", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "insert"), Trigger: intercept.Trigger{Prob: 1, Nth: 1}, Fault: mongoFault("write conflict", "")}, 2, 1, 1},
		{"after a statement", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "insert"), Trigger: intercept.Trigger{Prob: 1, Nth: 2}, Fault: after(mongoFault("write conflict", ""))}, 2, 1, 2},
		{"commit, undecided", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "commitTransaction"), Trigger: intercept.Trigger{Prob: 1, Nth: 1}, Fault: mongoFault("not primary", "")}, 1, 1, 0},
		{"commit, done", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "commitTransaction"), Trigger: intercept.Trigger{Prob: 1, Nth: 1}, Fault: after(mongoFault("not primary", ""))}, 1, 2, 0},
		{"commit, conflict", intercept.Rule{Match: Match(t, mongodb.Protocol, "method", "commitTransaction"), Trigger: intercept.Trigger{Prob: 1, Nth: 1}, Fault: mongoFault("write conflict", "")}, 2, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			Struck(t, mongodb.Protocol, server, "mongo-driver (Go)", "transaction: "+c.name)
			direct := goMongo(t, server).Database("work")
			before := mongoEnds(t, direct)
			addr, log := Front(t, mongodb.Protocol, server, c.rule)
			client := goMongo(t, addr)
			session, err := client.StartSession()
			if err != nil {
				t.Fatal(err)
			}
			defer session.EndSession(ctx)
			runs := 0
			_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
				runs++
				for range 2 {
					if _, err := client.Database("work").Collection("tx").InsertOne(ctx, bson.M{}); err != nil {
						return nil, err
					}
				}
				return nil, nil
			})
			if err != nil || runs != c.runs {
				t.Errorf("%d runs and not %d: %v", runs, c.runs, err)
			}
			ends := mongoEnds(t, direct)
			if commits, aborts := ends[0]-before[0], ends[1]-before[1]; commits != c.commits || aborts != c.aborted {
				t.Errorf("%d commits and %d aborts reached the server, and not %d and %d", commits, aborts, c.commits, c.aborted)
			}
			if a := log.Tally()[0]; a.Acted() != 1 {
				t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
			}
		})
	}
}

// mongoEnds returns how many commits and aborts the server has seen.
func mongoEnds(t testing.TB, db *mongo.Database) [2]int32 {
	t.Helper()
	var ends struct{ CommitTransaction, AbortTransaction int32 }
	if err := db.RunCommand(t.Context(), bson.M{"ends": 1}).Decode(&ends); err != nil {
		t.Fatal(err)
	}
	return [2]int32{ends.CommitTransaction, ends.AbortTransaction}
}

// mongoFaultRules strike on collections of their names.
func mongoFaultRules(t testing.TB) (rules []intercept.Rule) {
	for name, f := range map[string]intercept.Fault{
		"primary": mongoFault("not primary", ""), "conflict": mongoFault("write conflict", ""),
		"duplicate": mongoFault("duplicate key", ""), "slow": mongoFault("operation exceeded time limit", ""),
		"concern": after(mongoFault("waiting for replication timed out", "")), "denied": mongoFault("not authorized on work", ""),
		"dropped": {Do: intercept.Close},
	} {
		rules = append(rules, intercept.Rule{Match: Match(t, mongodb.Protocol, "key", name, "method", "insert"), Fault: f})
	}
	return rules
}

const nodeMongoFaults = `
const { MongoClient } = require('mongodb');
(async () => {
  const c = new MongoClient('mongodb://' + process.argv[2], { retryWrites: false, serverSelectionTimeoutMS: 10000 });
  for (const name of process.argv.slice(3)) {
    try { await c.db('work').collection(name).insertOne({ _id: 1 }); console.log(name, 'ok'); }
    catch (e) { console.log(name, e.constructor.name, e.code, e.codeName, e.errorLabels.join(), e.message); }
  }
  await c.close();
})();
`

const pythonMongoFaults = `
import sys, pymongo
c = pymongo.MongoClient('mongodb://' + sys.argv[1], retryWrites=False, serverSelectionTimeoutMS=10000, heartbeatFrequencyMS=500)
for name in sys.argv[2:]:
    try: c.work[name].insert_one({'_id': 1}); print(name, 'ok')
    except Exception as e: print(name, type(e).__name__, getattr(e, 'code', None), (getattr(e, 'details', None) or {}).get('codeName'))
`

var mongoFaultNames = []string{"primary", "conflict", "duplicate", "slow", "concern", "denied", "dropped", "none"}

func TestNodeMongoFaults(t *testing.T) {
	modules := npm(t, "mongodb", "mongodb")
	server := MongoDB(t)
	Struck(t, mongodb.Protocol, server, "mongodb (Node)", mongoFaultNames[:7]...)
	addr, _ := Front(t, mongodb.Protocol, server, mongoFaultRules(t)...)
	got := node(t, modules, nodeMongoFaults, append([]string{addr}, mongoFaultNames...)...)
	equalLines(t, []string{
		"primary MongoServerError 10107 NotWritablePrimary  not primary",
		"conflict MongoServerError 112 WriteConflict TransientTransactionError write conflict",
		"duplicate MongoServerError 11000 undefined  duplicate key",
		"slow MongoServerError 50 MaxTimeMSExpired  operation exceeded time limit",
		"concern MongoWriteConcernError 64 WriteConcernTimeout  waiting for replication timed out",
		"denied MongoServerError 13 Unauthorized  not authorized on work",
	}, got[:min(6, len(got))])
	if rest := strings.Join(got[6:], "\n"); !strings.HasPrefix(rest, "dropped MongoNetworkError") || !strings.HasSuffix(rest, "none ok") {
		t.Errorf("then %s", rest)
	}
}

func TestPythonMongoFaults(t *testing.T) {
	python := "/usr/bin/python3"
	if exec.Command(python, "-c", "import pymongo").Run() != nil {
		t.Skip("needs pymongo: apt-get install -y --no-install-recommends python3-pymongo")
	}
	server := MongoDB(t)
	Struck(t, mongodb.Protocol, server, "pymongo", mongoFaultNames[:7]...)
	addr, _ := Front(t, mongodb.Protocol, server, mongoFaultRules(t)...)
	out, err := exec.CommandContext(t.Context(), python, append([]string{"-W", "ignore", "-c", pythonMongoFaults, addr}, mongoFaultNames...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, tail(out))
	}
	equalLines(t, []string{
		"primary NotMasterError None NotWritablePrimary", // it has no code
		"conflict OperationFailure 112 WriteConflict",
		"duplicate DuplicateKeyError 11000 None",
		"slow ExecutionTimeout 50 MaxTimeMSExpired",
		"concern WTimeoutError 64 WriteConcernTimeout",
		"denied OperationFailure 13 Unauthorized",
		"dropped AutoReconnect None None",
		"none ok",
	}, strings.Split(strings.TrimSpace(string(out)), "\n"))
}
