# The chapter's api logs in as test, without a password, to a database testdb
# that nobody creates: the official image would refuse it.
sql -d "$database" -c 'CREATE ROLE test LOGIN' -c 'CREATE DATABASE testdb OWNER test'
sed -i '1i host testdb test all trust' "$PGDATA/pg_hba.conf"
