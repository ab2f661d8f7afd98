# mongo-java-server and a Java runtime with what it needs. It is not mongod, which
# no package registry has: no replica sets, no transactions.
mongo=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/mongo-java-server-1.47.0
sh ../../../.ci/deps.d/mongodb.sh >&2
java=
for dir in /usr/lib/jvm/*/; do
	[ ! -d "$dir/jmods" ] || java=$dir
done
[ -n "$java" ] || { echo 'images: no JDK with jmods: apt-get install default-jdk-headless' >&2; exit 1; }
mkdir -p "$root"/opt/mongo "$root"/data/db
"$java"/bin/jlink --output "$root"/opt/java --strip-debug --no-header-files --no-man-pages --add-modules \
	java.base,java.logging,java.management,java.naming,java.sql,jdk.unsupported
cp "$mongo"/lib/*.jar "$root"/opt/mongo/
"$java"/bin/javac -cp "$mongo/lib/*" -d "$root"/opt/mongo mongo/Server.java >&2
for file in "$root"/opt/java/bin/java "$root"/opt/java/lib/*.so "$root"/opt/java/lib/server/*.so; do
	libraries "$file"
done
"$root"/opt/java/bin/java -Xshare:dump >&2
