#!/bin/sh
# count.sh DATABASE [DUMP]: the number of rows of each table, as JSON. With DUMP, what is counted is also written there: psql
# exports the snapshot that it counts in, and pg_dump works in the same.
set -eu
export PGDATABASE="$1" DUMP="${2:-}"

umask 077
[ -z "$DUMP" ] || rm -f "$DUMP" "$DUMP.new"
psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 <<'SQL'
begin isolation level repeatable read read only;
select pg_export_snapshot() as snapshot \gset
\setenv SNAPSHOT :snapshot
\! [ -z "$DUMP" ] || { pg_dump --format=custom --snapshot="$SNAPSHOT" --file="$DUMP.new" </dev/null && mv "$DUMP.new" "$DUMP"; }
select coalesce(json_object_agg(name, (xpath('/row/n/text()', found))[1]::text::bigint order by name), '{}')
from (
  select schemaname || '.' || tablename as name,
    query_to_xml(format('select count(*) as n from %I.%I', schemaname, tablename), false, true, '') as found
  from pg_tables where schemaname !~ '^pg_' and schemaname <> 'information_schema'
) counted;
SQL
# psql does not tell how a program that it started has ended.
if [ -n "$DUMP" ] && [ ! -s "$DUMP" ]; then
  echo "pg_dump has failed" >&2
  exit 1
fi
