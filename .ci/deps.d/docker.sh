#!/bin/sh
# A second, newer Docker, which Debian has in sid only, into the cache folder of
# the tests: its packages with all that they need are unpacked there, never
# installed, and stand in for /usr where its daemon runs (see package dockertest).
# Needs apt and root, or a user who may read apt's sources. Does nothing when
# all is there.
set -eu
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/docker-sid
[ ! -e "$dir/complete" ] || exit 0

mirror=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
[ -n "$mirror" ] || { echo "docker: this is not a Debian with /etc/apt/sources.list.d/debian.sources" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
: >"$work/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sources.list"
apt() {
	apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}
apt update
apt install -y --download-only --no-install-recommends docker.io iptables
rm -rf "$dir"
mkdir -p "$dir/fs"
for package in "$work"/cache/archives/*.deb; do
	dpkg -x "$package" "$dir/fs"
done
# What a package's installation would link.
for name in iptables ip6tables; do
	ln -sf xtables-nft-multi "$dir/fs/usr/sbin/$name"
done
rm -rf "$dir/fs/usr/share/doc" "$dir/fs/usr/share/locale" "$dir/fs/usr/share/man"
test -x "$dir/fs/usr/sbin/dockerd"
touch "$dir/complete"
