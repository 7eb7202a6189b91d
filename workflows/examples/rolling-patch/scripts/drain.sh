#!/bin/sh
# drain.sh BACKEND SERVER SECONDS: no new requests for the server; waits until it has none, at most so long, and takes it out.
set -eu
backend=$1 server=$2 seconds=$3
ask() { echo "$1" | socat -t 10 stdio /run/haproxy/admin.sock; }
# Of `set server`, HAProxy says something only when it refuses.
tell() {
  said=$(ask "$1")
  if [ -n "$said" ]; then
    echo "$said" >&2
    exit 1
  fi
}

tell "set server $backend/$server state drain"
while [ "$seconds" -gt 0 ]; do
  # Field 5 is how many requests are under way.
  now=$(ask "show stat" | awk -F, -v backend="$backend" -v server="$server" '$1 == backend && $2 == server { print $5 }')
  [ "${now:-0}" -gt 0 ] || break
  echo "$server still has $now"
  sleep 1
  seconds=$((seconds - 1))
done
tell "set server $backend/$server state maint"
