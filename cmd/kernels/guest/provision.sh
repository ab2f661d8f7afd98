# The set-up of the Lima VM, run for real, twice. This Debian stands in for the
# Ubuntu of the template, and has Docker already: there is no network to get it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
useradd mac
for time in first second; do
	sh "$here/lima.sh" || { echo "the $time run failed"; exit 1; }
	[ -s /etc/faultbox-vm ] || { echo "no mark of a whole set-up"; exit 1; }
done
systemctl is-active docker
id -nG mac | grep -w docker
owner=$(stat -c %U /run/docker.sock)
[ "$owner" = mac ] || { echo "the socket of Docker is $owner's"; exit 1; }
for module in inet_diag tcp_diag udp_diag veth; do
	grep -q "^$module " /proc/modules || { echo "module $module is not loaded"; exit 1; }
done
sysctl fs.inotify.max_user_instances
"$here/../faultbox" demo -j 1 --test insert_fails
