#!/bin/sh
# take-back.sh DATABASE FRESH BEFORE: the undo of take.sh. Run again, it does nothing.
set -eu
database=$1 fresh=$2 before=$3
there() { [ "$(echo "select count(*) from pg_database where datname = :'name'" | psql -XAtq --set name="$1" --dbname postgres)" = 1 ]; }

if there "$fresh"; then exit 0; fi
rename_old=
if there "$before"; then rename_old='alter database :"before" rename to :"database";'; fi
printf 'begin;\nalter database :"database" rename to :"fresh";\n%s\ncommit;\n' "$rename_old" |
  psql -XAtq --set ON_ERROR_STOP=1 --set database="$database" --set fresh="$fresh" --set before="$before" --dbname postgres
