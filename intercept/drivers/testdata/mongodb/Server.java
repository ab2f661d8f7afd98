import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import java.util.Map;

/**
 * mongo-java-server, in memory: Server PORT. It ends when its standard input does.
 *
 * It says that it is a mongos 4.4, older than which no driver speaks to it and without which none begins a
 * transaction. It has no transactions: it says yes to their ends and counts those, for the tests, by the
 * commands' names (command "ends").
 */
public class Server extends MemoryBackend {
    private int commits, aborts;

    public static void main(String[] args) throws Exception {
        Server backend = new Server();
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() { return List.of(4, 4, 0); }
            public int getWireVersion() { return 9; }
        });
        MongoServer server = new MongoServer(backend);
        server.bind("127.0.0.1", Integer.parseInt(args[0]));
        while (System.in.read() >= 0) { }
        server.shutdownNow();
    }

    @Override
    public synchronized Document handleMessage(MongoMessage message) {
        switch (message.getDocument().keySet().iterator().next()) {
            case "commitTransaction": commits++; return new Document("ok", 1.0);
            case "abortTransaction": aborts++; return new Document("ok", 1.0);
            case "ends": return new Document("commitTransaction", commits).append("abortTransaction", aborts).append("ok", 1.0);
            case "hello", "isMaster", "ismaster": return mongos(super.handleMessage(message));
            default: return super.handleMessage(message);
        }
    }

    @Override
    public Document handleCommand(io.netty.channel.Channel channel, String database, String command, Document query) {
        Document answer = super.handleCommand(channel, database, command, query);
        return command.equalsIgnoreCase("ismaster") ? mongos(answer) : answer;
    }

    private static Document mongos(Document answer) {
        return answer.append("msg", "isdbgrid").append("logicalSessionTimeoutMinutes", 30);
    }
}
