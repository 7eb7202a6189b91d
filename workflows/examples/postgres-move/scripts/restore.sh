#!/bin/sh
# restore.sh DATABASE DUMP: a fresh database of that name, whole or empty. Owners and grants are not taken along: their roles
# may not be there.
set -eu
database=$1 dump=$2

dropdb --if-exists "$database"
createdb --template=template0 "$database"
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname "$database" "$dump"
