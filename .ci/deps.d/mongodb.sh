#!/bin/sh
# mongo-java-server, by B. Waldvogel, into the cache folder of the tests. It
# speaks MongoDB's wire protocol and is not mongod, which no package registry
# has. Needs a JDK (17 or newer) and Maven. Does nothing when all is there.
set -eu
version=1.47.0
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/mongo-java-server-$version
[ ! -e "$dir/complete" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>faultbox</groupId><artifactId>mongodb-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>2.0.17</version></dependency>
  </dependencies>
</project>
POM
mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/lib"
rm -rf "$dir"
mkdir -p "$dir"
mv "$work/lib" "$dir/lib"
touch "$dir/complete"
