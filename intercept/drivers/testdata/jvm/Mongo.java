import com.mongodb.*;
import com.mongodb.client.*;
import com.mongodb.client.model.*;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.bson.Document;

/** MongoDB's own driver. Arguments are addresses; what it saw at each ends with a line "--". */
class Mongo {
    static void say(Object... o) { System.out.println(Arrays.deepToString(o).replace("\n", " ")); }

    interface Step { Object run() throws Exception; }

    static void tell(String what, Step step) {
        try {
            say(what, step.run());
        } catch (MongoException e) {
            String name = e instanceof MongoCommandException c ? c.getErrorCodeName() : "";
            say(what, e.getClass().getSimpleName(), e.getCode(), name, e instanceof MongoSocketException ? "" : new TreeSet<>(e.getErrorLabels()));
        } catch (Exception e) {
            say(what, e.getClass().getSimpleName());
        }
    }

    static void work(String address) {
        var settings = MongoClientSettings.builder().applyConnectionString(new ConnectionString("mongodb://" + address)).retryWrites(false).retryReads(false)
            .applyToClusterSettings(b -> b.serverSelectionTimeout(10, TimeUnit.SECONDS)).build();
        try (MongoClient c = MongoClients.create(settings)) {
            MongoDatabase db = c.getDatabase("work");
            var col = db.getCollection("things");
            tell("drop", () -> { db.drop(); return "ok"; });
            tell("insert", () -> col.insertOne(new Document("_id", 1)).wasAcknowledged());
            tell("again", () -> col.insertOne(new Document("_id", 1)));
            List<Document> many = new ArrayList<>();
            for (int i = 0; i < 2500; i++) many.add(new Document("_id", i + 10).append("group", i % 7));
            tell("many", () -> col.insertMany(many).getInsertedIds().size());
            tell("unordered", () -> col.insertMany(List.of(new Document("_id", 9001), new Document("_id", 1)), new InsertManyOptions().ordered(false)));
            tell("find", () -> col.find(Filters.lt("group", 3)).batchSize(100).into(new ArrayList<>()).size());
            tell("update", () -> col.updateMany(Filters.eq("group", 1), Updates.inc("n", 1)).getModifiedCount());
            tell("delete", () -> col.deleteMany(Filters.eq("group", 2)).getDeletedCount());
            tell("modify", () -> col.findOneAndUpdate(Filters.eq("_id", 1), Updates.set("n", 1)));
            tell("large", () -> col.insertOne(new Document("_id", "large").append("text", "x".repeat(3000000))).wasAcknowledged());
            tell("command", () -> db.runCommand(new Document("noSuchCommand", 1)));
            for (String name : List.of("primary", "conflict", "duplicate", "slow", "concern", "denied", "dropped"))
                tell(name, () -> db.getCollection(name).insertOne(new Document("_id", 1)).wasAcknowledged());
        }
    }

    public static void main(String[] args) {
        for (String address : args) {
            work(address);
            System.out.println("--");
        }
        System.exit(0);
    }
}
