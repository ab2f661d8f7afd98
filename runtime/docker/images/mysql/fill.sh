# Oracle's MySQL as the tests have it, with an initialised data folder: making
# that takes longer than all the rest of a start.
mysql=${XDG_CACHE_HOME:-$HOME/.cache}/faultbox-tests/mysql
sh ../../../.ci/deps.d/mysql.sh >&2
rm -rf "$root"/lib "$root"/lib64 "$root"/usr # it brings a C library of its own
cp -r "$mysql"/fs/. "$root"
ln -s usr/lib usr/lib64 usr/sbin "$root"
mkdir -p "$root"/usr/local/bin "$root"/var/lib
data=$(mktemp -d)
chmod 755 "$data" "$context"
chown nobody "$data"
"$mysql"/mysqld --initialize-insecure --user=nobody --datadir="$data" --innodb-redo-log-capacity=8M >&2
chown -R 997:997 "$data"
mv "$data" "$root"/var/lib/mysql
