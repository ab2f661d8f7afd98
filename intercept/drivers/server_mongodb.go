package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// mongoVersion is the mongo-java-server that .ci/deps.d/mongodb.sh installs.
const mongoVersion = "1.47.0"

// MongoDB starts a mongo-java-server, which speaks MongoDB's wire protocol but
// is not mongod (it has no transactions, replica sets, compression, logins,
// unacknowledged writes or streamed answers), and returns its address. See
// testdata/mongodb/Server.java.
func MongoDB(t testing.TB) (addr string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache folder for mongo-java-server: %v", err)
	}
	dir := filepath.Join(cache, "faultbox-tests", "mongo-java-server-"+mongoVersion)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err != nil {
		t.Skipf("needs mongo-java-server %s: .ci/deps.d/mongodb.sh", mongoVersion)
	}
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	cmd := exec.Command(lookPath(t, "java", "default-jdk-headless"), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(dir, "lib", "*"), "testdata/mongodb/Server.java", port)
	_, source, _, _ := runtime.Caller(0)
	cmd.Dir = filepath.Dir(source)
	if _, err := cmd.StdinPipe(); err != nil { // it ends when we do
		t.Fatal(err)
	}
	run(t, cmd, syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, "mongo-java-server "+mongoVersion, "")
	return addr
}
