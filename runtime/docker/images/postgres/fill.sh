# PostgreSQL of this machine, whatever its version.
dir=$(ls -d /usr/lib/postgresql/* | sort -V | tail -n 1)
version=${dir##*/}
programs "$dir"/bin/*
for lib in "$dir"/lib/*.so; do
	case $lib in */llvmjit.so) ;; *) programs "$lib" ;; esac
done
mkdir -p "$root"/usr/share/postgresql "$root"/usr/share/zoneinfo/Etc
cp -r /usr/share/postgresql/"$version" "$root"/usr/share/postgresql/
cp /usr/share/zoneinfo/UTC "$root"/usr/share/zoneinfo/
cp /usr/share/zoneinfo/UTC "$root"/usr/share/zoneinfo/Etc/
# Debian's settings for a cluster point to folders that only its own tools make.
ln -sf "$dir"/bin/* "$root"/usr/local/bin/

# A cluster as initdb makes it by default: that takes longer than the rest of a start.
install -d -o postgres "$context"/cluster
chmod 711 "$context"
TZ=UTC runuser -u postgres -- "$dir"/bin/initdb --no-sync -D "$context"/cluster/data --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 >&2
mkdir -p "$root"/usr/share/postgresql/cluster
cp -r "$context"/cluster/data/. "$root"/usr/share/postgresql/cluster
chown -R 999:999 "$root"/usr/share/postgresql/cluster
