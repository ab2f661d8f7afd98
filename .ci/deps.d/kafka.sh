#!/bin/sh
# Apache Kafka, broker and Java client, into the cache folder of the tests.
# Needs a JDK (17 or newer) and Maven. Does nothing when all is there.
set -eu
version=${KAFKA_VERSION:-3.9.1}
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/kafka-$version
[ ! -e "$dir/complete" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>faultbox</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
rm -rf "$dir"
mkdir -p "$dir"
mv "$work/lib" "$dir/lib"
touch "$dir/complete"
