#!/bin/sh
# Takes mongod's command line as the official image does, and goes by none of it.
set -eu
case ${1:-mongod} in
mongod | -*) exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/mongo:/opt/mongo/*' Server ;;
esac
exec "$@"
