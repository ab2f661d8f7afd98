#!/bin/sh
# Oracle's MySQL, server and client, which Debian has in sid only, into the cache
# folder of the tests: its packages are unpacked there, never installed, and run
# with sid's own loader and libraries. Needs apt and root, or a user who
# may read apt's sources. Does nothing when all is there.
set -eu
dir=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/mysql
[ ! -e "$dir/complete" ] || exit 0

case $(dpkg --print-architecture) in
amd64) triplet=x86_64-linux-gnu loader=ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=ld-linux-aarch64.so.1 ;;
*) echo "mysql: no recipe for $(dpkg --print-architecture)" >&2; exit 1 ;;
esac
"$(dirname "$0")/../unpack" sid "$dir" mysql-server-core mysql-client-core
rm -rf "$dir/fs/usr/share/doc" "$dir/fs/usr/share/locale" "$dir/fs/usr/share/man"

# program NAME FILE ARGUMENT…: a script that runs FILE of the packages.
program() {
	name=$1 file=$2
	shift 2
	cat >"$dir/$name" <<SH
#!/bin/sh
here=\$(dirname "\$0")
libraries=\$here/fs/usr/lib/$triplet
exec "\$libraries/$loader" --library-path "\$libraries:\$here/fs/usr/lib/mysql/private" "\$here/fs/$file" --no-defaults $* "\$@"
SH
	chmod 755 "$dir/$name"
}
# shellcheck disable=SC2016 # $here is the script's
program mysqld usr/sbin/mysqld '--basedir="$here/fs/usr" --lc-messages-dir="$here/fs/usr/share/mysql"' \
	'--plugin-dir="$here/fs/usr/lib/mysql/plugin" --secure-file-priv='
program mysql usr/bin/mysql
"$dir/mysqld" --version
"$dir/mysql" --version
touch "$dir/complete"
