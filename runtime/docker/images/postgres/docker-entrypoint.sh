#!/bin/sh
# What the official image's entrypoint does, with the same variables.
set -eu

# file_env NAME: the value of NAME, or what the file in NAME_FILE holds.
file_env() {
	eval "file=\${${1}_FILE:-}"
	if [ -n "$file" ]; then
		cat "$file"
	else
		eval "printf %s \"\${$1:-}\""
	fi
}

case ${1:-postgres} in
-*) set -- postgres "$@" ;;
postgres) ;;
*) exec "$@" ;;
esac

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /var/run/postgresql
	chown -R postgres:postgres "$PGDATA" /var/run/postgresql
	chmod 700 "$PGDATA"
	exec /usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

socket=/var/run/postgresql
[ -w "$socket" ] || socket=/tmp
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	user=$(file_env POSTGRES_USER)
	user=${user:-postgres}
	password=$(file_env POSTGRES_PASSWORD)
	database=$(file_env POSTGRES_DB)
	database=${database:-$user}
	if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
		echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
		echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
		exit 1
	fi
	if [ "$user" = postgres ] && [ -z "${POSTGRES_INITDB_ARGS:-}" ]; then
		cp -r /usr/share/postgresql/cluster/. "$PGDATA"
	else
		# shellcheck disable=SC2086 # a list of options
		initdb --no-sync --username="$user" --auth=trust --encoding=UTF8 --locale=C.UTF-8 ${POSTGRES_INITDB_ARGS:-}
	fi
	echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

	pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=$socket -c fsync=off" start
	sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc -h "$socket" -U "$user" "$@"; }
	[ -z "$password" ] || echo "ALTER USER :\"user\" PASSWORD :'password'" | sql -d postgres -v user="$user" -v password="$password"
	[ "$database" = postgres ] || sql -d postgres -c "CREATE DATABASE \"$database\""
	for script in /docker-entrypoint-initdb.d/*; do
		case $script in
		*.sh) . "$script" ;;
		*.sql) sql -d "$database" -f "$script" ;;
		*.sql.gz) gunzip -c "$script" | sql -d "$database" ;;
		esac
	done
	pg_ctl -D "$PGDATA" -m fast -w stop
	echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories="$socket"
