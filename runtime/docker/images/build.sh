#!/bin/sh
# Makes stand-ins for images that a spec names, from real servers of this
# machine, under the names that it uses: build.sh [NAME…]. What did not change
# since it was made is not made again. Uses the engine in DOCKER_HOST.
set -eu
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/images
mkdir -p "$cache"

tag() {
	case $1 in
	postgres) echo postgres:16 ;;
	mysql) echo mysql:8 ;;
	redis) echo redis:7 ;;
	kafka) echo confluentinc/cp-kafka:7.5.0 ;;
	mongo) echo mongo:7 ;;
	auth) echo company/auth:latest ;;
	probe) echo faultbox/probe:latest ;;
	esac
}

# sources NAME: what else an image is made of.
sources() {
	case $1 in
	auth) echo ../../../cmd/chapter/auth/*.go ;;
	probe) echo ../dockertest/probe/*.go ;;
	esac
}

# make_image NAME: fills a root file system, tars it once, and builds the image.
make_image() (
	name=$1
	key=$(cat rootfs.sh build.sh "$name"/* $(sources "$name") | sha256sum | cut -c1-16)
	if [ "$(docker image inspect -f '{{index .Config.Labels "faultbox.standin"}}' "$(tag "$name")" 2>/dev/null)" = "$key" ]; then
		return
	fi
	fill=$(cat rootfs.sh "$name/fill.sh" $(sources "$name") | sha256sum | cut -c1-16)
	context=$(mktemp -d)
	trap 'rm -rf "$context"' EXIT
	cp "$name"/* "$context"
	if [ ! -e "$cache/$name-$fill.tar" ]; then
		root=$context/root
		. ./rootfs.sh
		skeleton
		. "./$name/fill.sh"
		rm -f "$cache/$name-"*.tar
		tar -C "$root" -cf "$cache/$name.tmp" .
		mv "$cache/$name.tmp" "$cache/$name-$fill.tar"
		rm -rf "$root"
	fi
	ln "$cache/$name-$fill.tar" "$context/rootfs.tar" 2>/dev/null || cp "$cache/$name-$fill.tar" "$context/rootfs.tar"
	docker build -q --label "faultbox.standin=$key" -t "$(tag "$name")" "$context" >/dev/null
	docker image prune -f >/dev/null
	echo "made image $(tag "$name")"
)

[ $# -gt 0 ] || set -- postgres mysql redis kafka auth
for name; do
	make_image "$name"
done
