package drivers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"faultbox/intercept"
	"faultbox/protocols/mongodb"
)

// goMongo is a client that tries everything once.
func goMongo(t testing.TB, addr string, opts ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	opts = append([]*options.ClientOptions{options.Client().ApplyURI("mongodb://" + addr).SetRetryWrites(false).SetRetryReads(false).
		SetServerSelectionTimeout(10 * time.Second).SetHeartbeatInterval(500 * time.Millisecond)}, opts...)
	c, err := mongo.Connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Disconnect(context.Background()) })
	return c
}

// mongoError tells of an error what applications branch on.
func mongoError(err error) string {
	var command mongo.CommandError
	var write mongo.WriteException
	var bulk mongo.BulkWriteException
	switch {
	case err == nil:
		return "ok"
	case mongo.IsNetworkError(err):
		return "network"
	case errors.As(err, &command):
		return fmt.Sprint(command.Code, " ", command.Name, " ", command.Message, " ", command.Labels)
	case errors.As(err, &write) && write.WriteConcernError != nil:
		return fmt.Sprint("write concern ", write.WriteConcernError.Code, " ", write.WriteConcernError.Name, " ", write.WriteConcernError.Message)
	case errors.As(err, &write):
		return writeErrors(write.WriteErrors...)
	case errors.As(err, &bulk):
		var each []mongo.WriteError
		for _, e := range bulk.WriteErrors {
			each = append(each, e.WriteError)
		}
		return writeErrors(each...)
	}
	return err.Error()
}

func writeErrors(each ...mongo.WriteError) string {
	var messages []string
	for _, e := range each {
		messages = append(messages, e.Message)
	}
	return fmt.Sprint("write errors ", messages)
}

// goMongoWork does a bit of everything and tells what it saw.
func goMongoWork(t testing.TB, c *mongo.Client) (saw []string) {
	ctx := t.Context()
	say := func(v any, err error) { saw = append(saw, fmt.Sprintf("%+v %s", v, mongoError(err))) }
	db := c.Database("work")
	col := db.Collection("things")
	say("drop", db.Drop(ctx))
	say("ping", c.Ping(ctx, nil))
	one, err := col.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}, {Key: "name", Value: "one"}})
	say(one, err)
	_, err = col.InsertOne(ctx, bson.M{"_id": 1})
	say("again", err)
	docs := make([]any, 2500) // more than a batch
	for i := range docs {
		docs[i] = bson.M{"_id": i + 10, "group": i % 7, "text": strings.Repeat("x", 100)}
	}
	many, err := col.InsertMany(ctx, docs)
	say(len(many.InsertedIDs), err)
	many, err = col.InsertMany(ctx, []any{bson.M{"_id": 5000}, bson.M{"_id": 1}, bson.M{"_id": 5001}}, options.InsertMany().SetOrdered(false))
	say(len(many.InsertedIDs), err)
	large := strings.Repeat("large ", 500_000)
	_, err = col.InsertOne(ctx, bson.M{"_id": "large", "text": large})
	say("large", err)
	var got struct{ Text string }
	err = col.FindOne(ctx, bson.M{"_id": "large"}).Decode(&got)
	say(got.Text == large, err)
	say(col.FindOne(ctx, bson.M{"_id": "none"}).Raw())

	cursor, err := col.Find(ctx, bson.M{"group": bson.M{"$lt": 4}}, options.Find().SetBatchSize(100).SetSort(bson.M{"_id": 1}))
	say("find", err)
	var all []bson.M
	say("all", cursor.All(ctx, &all))
	say(len(all), nil)
	cursor, err = col.Find(ctx, bson.M{}, options.Find().SetBatchSize(10))
	say(cursor.Next(ctx), err)
	say("close", cursor.Close(ctx))
	say(col.UpdateMany(ctx, bson.M{"group": 1}, bson.M{"$inc": bson.M{"n": 1}}))
	say(col.DeleteMany(ctx, bson.M{"group": 2}))
	say(col.CountDocuments(ctx, bson.M{"group": 3}))
	say(col.FindOneAndUpdate(ctx, bson.M{"_id": 1}, bson.M{"$set": bson.M{"name": "uno"}}).Raw())
	say(col.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.M{"_id": "b"}),
		mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": "b"}).SetUpdate(bson.M{"$set": bson.M{"x": 1}}),
		mongo.NewDeleteOneModel().SetFilter(bson.M{"_id": "b"})}))
	say(col.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.M{"group": 1}}))
	say(db.RunCommand(ctx, bson.M{"noSuchCommand": 1}).Raw())
	names, err := db.ListCollectionNames(ctx, bson.M{})
	say(names, err)

	session, err := c.StartSession()
	say("session", err)
	defer session.EndSession(ctx)
	v, err := session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		_, err := col.InsertOne(ctx, bson.M{"_id": "in transaction"})
		return "done", err
	})
	say(v, err)
	return saw
}

func quietMongo(t *testing.T, client string, run func(addr string) []string) {
	t.Helper()
	server := MongoDB(t)
	Compared(t, mongodb.Protocol, server, client, "insert, update, delete, findAndModify", "batches of 2,500", "cursors", "sessions, transactions", "errors")
	want := run(server)
	addr, log := Front(t, mongodb.Protocol, server, never(t, mongodb.Protocol, "collection"))
	equalLines(t, want, run(addr))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	for _, op := range []string{"insert", "find", "getMore", "update", "delete"} {
		log.Wait(t, "of "+op, func(ev *intercept.Event) bool { return ev.Op == op && ev.Key == "things" })
	}
}

func TestGoMongoUntouched(t *testing.T) {
	quietMongo(t, "mongo-driver (Go)", func(addr string) []string { return goMongoWork(t, goMongo(t, addr)) })
}

const nodeMongo = `
const { MongoClient } = require('mongodb');
const say = (...a) => console.log(JSON.stringify(a));
const tell = async (what, p) => { try { say(what, await p); } catch (e) { say(what, e.constructor.name, e.code, e.codeName, e.message, e.errorLabels); } };
(async () => {
  const c = new MongoClient('mongodb://' + process.argv[2], { retryWrites: false, retryReads: false, serverSelectionTimeoutMS: 10000 });
  const db = c.db('work'), col = db.collection('things');
  await tell('drop', db.dropDatabase());
  await tell('insert', col.insertOne({ _id: 1, n: 1 }));
  await tell('again', col.insertOne({ _id: 1 }));
  await tell('many', col.insertMany(Array.from({ length: 2500 }, (_, i) => ({ _id: i + 10, group: i % 7 }))).then(r => r.insertedCount));
  await tell('find', col.find({ group: { $lt: 3 } }).batchSize(100).sort({ _id: 1 }).toArray().then(a => a.length));
  await tell('parallel', Promise.all(Array.from({ length: 50 }, (_, i) => col.findOne({ _id: i + 10 }))));
  await tell('update', col.updateMany({ group: 1 }, { $inc: { n: 1 } }));
  await tell('upsert', col.updateOne({ _id: 'u' }, { $set: { n: 1 } }, { upsert: true }));
  await tell('delete', col.deleteMany({ group: 2 }));
  await tell('modify', col.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } }, { returnDocument: 'after' }));
  await tell('aggregate', col.aggregate([{ $match: { group: 3 } }, { $group: { _id: '$group', n: { $sum: 1 } } }]).toArray());
  await tell('command', db.command({ noSuchCommand: 1 }));
  const s = c.startSession();
  await tell('transaction', s.withTransaction(async () => { await col.insertOne({ _id: 't' }, { session: s }); return 'done'; }));
  await s.endSession();
  await c.close();
})();
`

func TestNodeMongoUntouched(t *testing.T) {
	modules := npm(t, "mongodb", "mongodb")
	quietMongo(t, "mongodb (Node)", func(addr string) []string { return node(t, modules, nodeMongo, addr) })
}

const pythonMongo = `
import sys, pymongo
def tell(what, f):
    try: print(what, f())
    except Exception as e: print(what, type(e).__name__, getattr(e, 'code', None), (getattr(e, 'details', None) or {}).get('codeName'), str(e)[:200], getattr(e, '_error_labels', None))
c = pymongo.MongoClient('mongodb://' + sys.argv[1], retryWrites=False, retryReads=False, serverSelectionTimeoutMS=10000, heartbeatFrequencyMS=500)
db = c.work
col = db.things
tell('drop', lambda: c.drop_database('work'))
tell('insert', lambda: col.insert_one({'_id': 1}).inserted_id)
tell('again', lambda: col.insert_one({'_id': 1}))
tell('many', lambda: len(col.insert_many([{'_id': i + 10, 'group': i % 7} for i in range(2500)]).inserted_ids))
tell('find', lambda: len(list(col.find({'group': {'$lt': 3}}, batch_size=100))))
tell('update', lambda: col.update_many({'group': 1}, {'$inc': {'n': 1}}).modified_count)
tell('delete', lambda: col.delete_many({'group': 2}).deleted_count)
tell('modify', lambda: col.find_one_and_update({'_id': 1}, {'$set': {'n': 1}}))
tell('bulk', lambda: col.bulk_write([pymongo.InsertOne({'_id': 'b'}), pymongo.DeleteOne({'_id': 'b'})]).bulk_api_result)
tell('count', lambda: col.count_documents({'group': 3}))
tell('command', lambda: db.command('noSuchCommand'))
def transaction(s): col.insert_one({'_id': 't'}, session=s); return 'done'
with c.start_session() as s: tell('transaction', lambda: s.with_transaction(transaction))
`

func pymongo(t testing.TB, addr string) []string {
	t.Helper()
	python := "/usr/bin/python3" // the one that Debian's packages are for
	if err := exec.Command(python, "-c", "import pymongo").Run(); err != nil {
		t.Skip("needs pymongo: apt-get install -y --no-install-recommends python3-pymongo")
	}
	out, err := exec.CommandContext(t.Context(), python, "-W", "ignore", "-c", pythonMongo, addr).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestPythonMongoUntouched(t *testing.T) {
	quietMongo(t, "pymongo", func(addr string) []string { return pymongo(t, addr) })
}
