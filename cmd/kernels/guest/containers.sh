# A spec with containers, against the engine of this machine: systemd starts it,
# and it puts containers where systemd lets it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v dockerd >/dev/null || { echo "this guest has no Docker"; exit 77; }
begin=$(date +%s%3N)
systemctl start docker || { journalctl -u docker --no-pager | tail -n 20; exit 1; }
docker info --format 'Docker {{.ServerVersion}}, {{.CgroupDriver}} driver, cgroup v{{.CgroupVersion}}, {{.Driver}}'
echo "engine ready after $(($(date +%s%3N) - begin)) ms"
work=$(mktemp -d)
mkdir "$work/probe"
cp "$here/../probe" "$work/probe/probe"
cp "$here/containers.star" "$work/faultbox.star"
printf 'FROM scratch\nCOPY probe /probe\nENTRYPOINT ["/probe"]\n' >"$work/probe/Dockerfile"
cd "$work"
export DOCKER_BUILDKIT=0
code=0
"$here/../faultbox" test -v || code=$?
[ $code != 4 ] || exit 77 # it said what is lacking
[ $code = 0 ] || exit $code
left=$(docker ps --all --quiet; docker network ls --quiet --filter type=custom)
[ -z "$left" ] || { echo "left: $left"; exit 1; }
