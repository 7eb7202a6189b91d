#!/bin/sh
# free.sh DATABASE BEFORE OVERWRITE: may DATABASE be made? It is not there, or it is empty, or OVERWRITE is true and nothing
# is kept under the name BEFORE yet.
set -eu
database=$1 before=$2 overwrite=$3

there() { [ "$(echo "select count(*) from pg_database where datname = :'name'" | psql -XAtq --set name="$1" --dbname postgres)" = 1 ]; }
if there "$before"; then
  echo "a database called $before is kept from an earlier time: drop or rename it first" >&2
  exit 1
fi
if ! there "$database"; then exit 0; fi
things=$(psql -XAtq --dbname "$database" --command "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'")
if [ "$things" != 0 ] && [ "$overwrite" != true ]; then
  echo "the target has a database $database with $things tables, indexes and the like in it: nothing is touched without overwrite=true" >&2
  exit 1
fi
echo "$database: $things tables, indexes and the like"
