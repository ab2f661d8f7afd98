#!/bin/sh
# A second, newer Docker, which Debian has in sid only, into the cache folder of
# the tests: its packages with all that they need are unpacked there, never
# installed, and stand in for /usr where its daemon runs (see package dockertest).
# Needs apt and root, or a user who may read apt's sources. Does nothing when
# all is there.
set -eu
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/docker-sid
[ ! -e "$dir/complete" ] || exit 0

"$(dirname "$0")/../unpack" sid "$dir" docker.io iptables
# What a package's installation would link.
for name in iptables ip6tables; do
	ln -sf xtables-nft-multi "$dir/fs/usr/sbin/$name"
done
rm -rf "$dir/fs/usr/share/doc" "$dir/fs/usr/share/locale" "$dir/fs/usr/share/man"
test -x "$dir/fs/usr/sbin/dockerd"
touch "$dir/complete"
