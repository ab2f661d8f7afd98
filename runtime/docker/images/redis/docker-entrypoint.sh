#!/bin/sh
# What the official image's entrypoint does.
set -e
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	chown redis:redis .
	exec /usr/bin/setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
# The official one is built so; it listens everywhere and has no password.
[ "$1" = redis-server ] && [ $# = 1 ] && set -- "$@" --protected-mode no
exec "$@"
