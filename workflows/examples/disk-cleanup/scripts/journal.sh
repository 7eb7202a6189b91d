#!/bin/sh
# journal.sh tell|delete BYTES: the archived journals that are over BYTES in all, the oldest first. Journals that are
# written to are never removed, so before deleting they are archived. The last line is `total BYTES`.
set -eu
mode=$1 keep=$2

if ! command -v journalctl >/dev/null; then
  echo "no systemd journal on this machine"
  echo "total 0"
  exit 0
fi
size() {
  for folder in /var/log/journal /run/log/journal; do
    if [ -d "$folder" ]; then du --bytes --summarize "$folder"; fi
  done | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

before=$(size)
if [ "$mode" = delete ]; then
  journalctl --rotate
  # The number alone is bytes.
  journalctl --vacuum-size="$keep" 2>&1
  after=$(size)
else
  after=$((before < keep ? before : keep))
fi
echo "journal: $before bytes, $after wanted or left"
echo "total $((before > after ? before - after : 0))"
