#!/bin/sh
# A newer nats-server than Debian's, into the cache folder of the tests.
# Does nothing when it is there.
set -eu
version=v2.15.2
bin=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/bin
[ ! -e "$bin/nats-server" ] || exit 0
mkdir -p "$bin"
cd / # outside any module
GOBIN=$bin GOFLAGS= go install "github.com/nats-io/nats-server/v2@$version"
