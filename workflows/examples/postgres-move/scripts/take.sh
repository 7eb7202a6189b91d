#!/bin/sh
# take.sh DATABASE FRESH BEFORE OVERWRITE: FRESH is called DATABASE from now on; what was called so is called BEFORE. Both in one
# transaction; run again, it does nothing.
set -eu
database=$1 fresh=$2 before=$3 overwrite=$4
there() { [ "$(echo "select count(*) from pg_database where datname = :'name'" | psql -XAtq --set name="$1" --dbname postgres)" = 1 ]; }

if ! there "$fresh" && there "$database"; then
  echo "it has the name already"
  exit 0
fi
rename_old=
if there "$database"; then
  things=$(psql -XAtq --dbname "$database" --command "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'")
  if [ "$things" != 0 ] && [ "$overwrite" != true ]; then
    echo "the target's $database is no longer empty: it is not touched" >&2
    exit 1
  fi
  rename_old='select pg_terminate_backend(pid) from pg_stat_activity where datname = :'\''database'\'' and pid <> pg_backend_pid();
alter database :"database" rename to :"before";'
fi
printf 'begin;\n%s\nalter database :"fresh" rename to :"database";\ncommit;\n' "$rename_old" |
  psql -XAtq --set ON_ERROR_STOP=1 --set database="$database" --set fresh="$fresh" --set before="$before" --dbname postgres
