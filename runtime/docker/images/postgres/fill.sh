# PostgreSQL of this machine, whatever its version.
dir=$(ls -d /usr/lib/postgresql/* | sort -V | tail -n 1)
version=${dir##*/}
programs "$dir"/bin/*
for lib in "$dir"/lib/*.so; do
	case $lib in */llvmjit.so) ;; *) programs "$lib" ;; esac
done
mkdir -p "$root"/usr/share/postgresql "$root"/usr/share/zoneinfo
cp -r /usr/share/postgresql/"$version" "$root"/usr/share/postgresql/
cp /usr/share/zoneinfo/UTC "$root"/usr/share/zoneinfo/
# Debian's settings for a cluster point to folders that only its own tools make.
ln -sf "$dir"/bin/* "$root"/usr/local/bin/
