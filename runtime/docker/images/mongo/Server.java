import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.net.InetSocketAddress;
import java.util.List;

/** Listens everywhere on MongoDB's port. It says that it is a 4.4, older than which no driver speaks to it. */
class Server {
    public static void main(String[] args) {
        MemoryBackend backend = new MemoryBackend();
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() { return List.of(4, 4, 0); }
            public int getWireVersion() { return 9; }
        });
        new MongoServer(backend).bind(new InetSocketAddress("0.0.0.0", 27017));
    }
}
