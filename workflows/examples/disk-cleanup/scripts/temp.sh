#!/bin/sh
# temp.sh tell|delete MINUTES, folders on standard input: files that were neither read nor written for so long. It stays on the
# folder's own disk, follows no links, and leaves what systemd made for a running service. The last line is `total BYTES`.
set -eu
mode=$1 minutes=$2

total=0
while IFS= read -r folder; do
  [ -d "$folder" ] || continue
  case "$folder" in
    / | /*..* | [!/]*) echo "$folder: not a folder for temporary files" >&2; exit 1 ;;
  esac
  # Names may hold anything, so they are told on standard error and never taken apart; find itself deletes.
  set -- -type f ! -path '*/systemd-private-*' -mmin "+$minutes" -amin "+$minutes" -printf '%b\n' -fprintf /dev/stderr '%p\n'
  [ "$mode" = tell ] || set -- "$@" -delete
  blocks=$(find "$folder" -ignore_readdir_race -xdev -mindepth 1 "$@")
  sum=$(printf '%s\n' "$blocks" | awk '{ sum += $1 } END { printf "%d\n", sum * 512 }')
  total=$((total + sum))
done
echo "total $total"
