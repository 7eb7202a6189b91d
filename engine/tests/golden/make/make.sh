#!/bin/sh
# Runs the workflows of this folder with a binary, each to the point that its first line tells, in a new data folder.
#
#   make.sh BINARY DATA_FOLDER
set -eu
# Operations record who asked for them: the name of this machine is nobody's business.
# shellcheck disable=SC2016
[ "$(hostname)" = golden ] || exec unshare --uts sh -c 'hostname golden; exec "$0" "$@"' "$0" "$@"
anneal=$1
data=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
export ANNEAL_DATA_DIR="$data" HOME="$work" GOLDEN_TOKEN=made-up-for-golden-files
cd "$work"
cat > inventory.ron <<'INVENTORY'
Inventory(hosts: { "here": Local }, roles: { "machine": ["here"] }, inputs: { "token": Env("GOLDEN_TOKEN") })
INVENTORY

run() {
    name=$1
    shift
    "$anneal" run "$here/$name.ron" "$@" || echo "$name: exit code $?"
}
with_token() { run "$@" --inventory inventory.ron; }
here() { run "$@" --host machine=local; }
# Waits until a command succeeds, for half a minute at most.
until_ok() {
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "waited in vain: $*" >&2
    exit 1
}
id_of() { "$anneal" ops --json | tr '{' '\n' | grep "\"workflow\":\"$1\"" | grep -o '"id":"[^"]*"' | cut -d '"' -f 4; }
# Runs a workflow whose job writes its process id to a file, and kills the engine when the job is at work.
killed() {
    name=$1
    "$anneal" run "$here/$name.ron" --inventory inventory.ron --input "at=$work/$name" > "$work/$name.out" &
    engine=$!
    until_ok test -s "$work/$name"
    kill -KILL "$engine"
    wait "$engine" || true
}
# The whole process group, so that nobody can write down how the job ended.
kill_job() { kill -KILL "-$(sed 's/.*) //' "/proc/$(cat "$work/$1")/stat" | cut -d ' ' -f 3)"; }
resume() {
    name=$1
    shift
    "$anneal" resume "$(id_of "$name")" "$@" || echo "$name: exit code $?"
}

with_token completed
here failed
here rolled-back --input "at=$work/rolled-back"
here undo-failed
here half-rolled-back
killed reattached
resume reattached
for name in unknown decided rerun; do
    killed "$name"
    kill_job "$name"
    resume "$name"
done
resume decided --done long --reason "looked, and it is there"
"$anneal" run "$here/half-done.ron" --host machine=local > half-done.out 2>&1 &
engine=$!
until_ok grep -q "tried again" half-done.out
kill -KILL "$engine"
wait "$engine" || true
killed killed
kill_job killed

# What follows is of format 2.
"$anneal" approve --help > /dev/null 2>&1 || exit 0
three="--host machine=local --host node=local --host node=local --host node=local"
# shellcheck disable=SC2086
"$anneal" run "$here/group.ron" $three || echo "group: exit code $?"
"$anneal" approve "$(id_of group)" || echo "group: exit code $?"
# shellcheck disable=SC2086
"$anneal" run "$here/rejected.ron" $three || echo "rejected: exit code $?"
"$anneal" reject "$(id_of rejected)" --reason "not today" || echo "rejected: exit code $?"
"$anneal" rollback "$(id_of rejected)" || echo "rejected: exit code $?"
here mended
"$anneal" mark "$(id_of mended)" breaks succeeded --out n=7 --reason "mended by hand" || echo "mended: exit code $?"
"$anneal" skip "$(id_of mended)" beside --reason "not needed" || echo "mended: exit code $?"
resume mended
here again
resume again --from first
"$anneal" fail "$(id_of again)" --reason "hopeless" || echo "again: exit code $?"
here waits
"$anneal" cancel "$(id_of waits)" --rollback --reason "changed my mind" || echo "waits: exit code $?"
here late
here recorded
# shellcheck disable=SC2086
"$anneal" run "$here/facts.ron" $three || echo "facts: exit code $?"
killed given-up
"$anneal" pause "$(id_of given-up)" --reason "wait" &
# shellcheck disable=SC2016
until_ok sh -c '"$0" ops | grep "given-up.*wait"' "$anneal"
"$anneal" kill "$(id_of given-up)" --reason "abandoned" || echo "given-up: exit code $?"
wait
kill_job given-up
