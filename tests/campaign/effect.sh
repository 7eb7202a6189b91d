#!/bin/sh
# An effect that is counted: a line when it begins and a line when it ends, each appended with one write and synced.
#
# usage: effect.sh do|undo SECONDS [first-fails|fails|gated|mended]
#   gated: waits until $HOME/gate is there    mended: fails until $HOME/mended is there
set -eu

note() {
  printf '%s %s %s %s\n' "$ANNEAL_JOB" "$1" "$(cat /proc/sys/kernel/random/boot_id)" "$(date +%s%N)" |
    dd of="$HOME/effects" oflag=append conv=notrunc,fsync status=none
}

fail() {
  note failed
  exit 7
}

what=$1
marker=$HOME/markers/${ANNEAL_JOB%/*}
note "$what"
sleep "$2"
case ${3:-} in
  fails) fail ;;
  first-fails) [ "${ANNEAL_JOB##*/}" != 1 ] || fail ;;
  mended) [ -e "$HOME/mended" ] || fail ;;
  gated) until [ -e "$HOME/gate" ]; do sleep 0.05; done ;;
esac
mkdir -p "${marker%/*}"
if [ "$what" = do ]; then : >"$marker"; else rm -f "$marker"; fi
note "$what-done"
echo "$what by $ANNEAL_JOB"
