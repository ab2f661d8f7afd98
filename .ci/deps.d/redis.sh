#!/bin/sh
# Redis 8 and Valkey 8, which Debian has from trixie on, into the cache folder
# of the tests: the packages are unpacked there, never installed, and run with
# trixie's own loader and libraries. Needs apt and root, or a user who may read
# apt's sources. Does nothing when all is there.
set -eu
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/redis
[ ! -e "$dir/complete" ] || exit 0

case $(dpkg --print-architecture) in
amd64) triplet=x86_64-linux-gnu loader=ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=ld-linux-aarch64.so.1 ;;
*) echo "redis: no recipe for $(dpkg --print-architecture)" >&2; exit 1 ;;
esac
"$(dirname "$0")/../unpack" trixie "$dir" redis-server valkey-server
rm -rf "$dir/fs/usr/share"

for server in redis-server:redis-check-rdb valkey-server:valkey-check-rdb; do
	name=${server%:*} file=${server#*:} # the server is a link to its other name
	cat >"$dir/$name" <<SH
#!/bin/sh
libraries=\$(dirname "\$0")/fs/usr/lib/$triplet
exec "\$libraries/$loader" --argv0 $name --library-path "\$libraries" "\$(dirname "\$0")/fs/usr/bin/$file" "\$@"
SH
	chmod 755 "$dir/$name"
	"$dir/$name" --version
done
touch "$dir/complete"
