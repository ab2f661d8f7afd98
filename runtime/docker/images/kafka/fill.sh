# Apache Kafka and a Java runtime with what it needs, with a formatted log
# folder: formatting takes a Java machine's whole start.
kafka=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/kafka-3.9.1
sh ../../../.ci/deps.d/kafka.sh >&2
java=
for dir in /usr/lib/jvm/*/; do
	[ ! -d "$dir/jmods" ] || java=$dir
done
[ -n "$java" ] || { echo 'images: no JDK with jmods: apt-get install default-jdk-headless' >&2; exit 1; }
mkdir -p "$root"/opt/kafka "$root"/var/lib/kafka/data
"$java"/bin/jlink --output "$root"/opt/java --strip-debug --no-header-files --no-man-pages --add-modules \
	java.base,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql,java.xml,java.net.http,jdk.management,jdk.unsupported,jdk.crypto.ec
cp -r "$kafka"/lib "$root"/opt/kafka/
for file in "$root"/opt/java/bin/java "$root"/opt/java/lib/*.so "$root"/opt/java/lib/server/*.so; do
	libraries "$file"
done
"$root"/opt/java/bin/java -Xshare:dump >&2
cat >"$context"/format.properties <<-SETTINGS
	process.roles=broker,controller
	node.id=1
	controller.quorum.voters=1@127.0.0.1:9093
	listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
	controller.listener.names=CONTROLLER
	log.dirs=$root/var/lib/kafka/data
SETTINGS
"$root"/opt/java/bin/java -cp "$kafka/lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$context"/format.properties >&2
chown -R 1000:1000 "$root"/var/lib/kafka
