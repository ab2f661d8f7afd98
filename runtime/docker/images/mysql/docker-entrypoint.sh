#!/bin/sh
# What the official image's entrypoint does, with the same variables. The data
# folder is initialised already, with a root that has no password.
set -eu
case ${1:-mysqld} in
-*) set -- mysqld "$@" ;;
mysqld) ;;
*) exec "$@" ;;
esac

value() {
	eval "file=\${${1}_FILE:-}"
	if [ -n "$file" ]; then cat "$file"; else eval "printf %s \"\${$1:-}\""; fi
}
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"; }

data=/var/lib/mysql
init=
if [ ! -e "$data/ready" ]; then
	root=$(value MYSQL_ROOT_PASSWORD)
	user=$(value MYSQL_USER)
	password=$(value MYSQL_PASSWORD)
	database=$(value MYSQL_DATABASE)
	if [ -z "$root" ] && [ -z "${MYSQL_ALLOW_EMPTY_PASSWORD:-}${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
		echo '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified' >&2
		echo '    You need to specify one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD' >&2
		exit 1
	fi
	[ -z "${MYSQL_RANDOM_ROOT_PASSWORD:-}" ] || {
		root=$(head -c 18 /dev/urandom | base64)
		echo "[Entrypoint]: GENERATED ROOT PASSWORD: $root"
	}
	init=/tmp/init.sql
	{
		echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$root");"
		echo "CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$root");"
		echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
		if [ -n "$database" ]; then echo "CREATE DATABASE \`$database\`;"; fi
		if [ -n "$user" ]; then
			echo "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$password");"
			if [ -n "$database" ]; then echo "GRANT ALL ON \`$database\`.* TO $(quoted "$user")@'%';"; fi
		fi
		for script in /docker-entrypoint-initdb.d/*.sql; do
			[ ! -e "$script" ] || { [ -z "$database" ] || echo "USE \`$database\`;"; cat "$script"; echo; }
		done
	} >"$init"
	chown mysql "$init"
	mkdir -p /var/run/mysqld
	chown mysql "$data" /var/run/mysqld
	touch "$data/ready"
	set -- "$@" --init-file="$init"
fi
[ "$(id -u)" != 0 ] || set -- "$@" --user=mysql
exec "$@" --basedir=/usr --lc-messages-dir=/usr/share/mysql --plugin-dir=/usr/lib/mysql/plugin --secure-file-priv= \
	--datadir="$data" --socket=/var/run/mysqld/mysqld.sock --pid-file=/var/run/mysqld/mysqld.pid --bind-address='*' \
	--mysqlx=OFF --skip-log-bin --performance-schema=OFF --innodb-buffer-pool-size=32M --innodb-redo-log-capacity=8M --innodb-flush-log-at-trx-commit=0
