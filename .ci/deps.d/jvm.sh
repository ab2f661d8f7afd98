#!/bin/sh
# Clients for the JVM, into the cache folder of the tests. Needs a JDK (17 or
# newer) and Maven. Does nothing when all is there.
set -eu
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/jvm
clients='
com.rabbitmq:amqp-client:5.22.0
redis.clients:jedis:5.2.0
io.lettuce:lettuce-core:6.5.1.RELEASE
org.mongodb:mongodb-driver-sync:5.2.1
com.mysql:mysql-connector-j:9.1.0
io.nats:jnats:2.20.4
org.slf4j:slf4j-nop:1.7.36
'
[ "$(cat "$dir/complete" 2>/dev/null)" != "$clients" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<groupId>faultbox</groupId><artifactId>clients-for-tests</artifactId><version>1</version><dependencies>'
	for client in $clients; do
		echo "$client" | sed 's|\(.*\):\(.*\):\(.*\)|<dependency><groupId>\1</groupId><artifactId>\2</artifactId><version>\3</version></dependency>|'
	done
	echo '</dependencies></project>'
} >"$work/pom.xml"
mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
rm -rf "$dir"
mkdir -p "$dir"
mv "$work/lib" "$dir/lib"
printf %s "$clients" >"$dir/complete"
