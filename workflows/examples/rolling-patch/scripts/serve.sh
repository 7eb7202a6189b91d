#!/bin/sh
# serve.sh BACKEND SECONDS [SERVER]: the server serves again, or fails. Without one: all that are out; those that are not well
# stay out and are named on standard output.
#
# HAProxy asks no server that is out, and sends requests at once to one that comes back. So it is first let drain, where it is
# asked and gets no requests; once HAProxy's own checks have found it well (DRAIN alone, not `DRAIN 1/3`), it is ready.
set -eu
backend=$1 seconds=$2 only=${3:-}
ask() { echo "$1" | socat -t 10 stdio /run/haproxy/admin.sock; }
state_of() { ask "show stat" | awk -F, -v backend="$backend" -v server="$1" '$1 == backend && $2 == server { print $18 }'; }
# wait_for SERVER STATE
wait_for() {
  left=$seconds
  until [ "$(state_of "$1")" = "$2" ]; do
    if [ "$left" = 0 ]; then return 1; fi
    left=$((left - 1))
    sleep 1
  done
}
tell() {
  said=$(ask "$1")
  [ -z "$said" ] || { echo "$said" >&2; exit 1; }
}

servers=$only
if [ -z "$only" ]; then
  stat=$(ask "show stat")
  servers=$(printf '%s\n' "$stat" | awk -F, -v backend="$backend" '$1 == backend && ($18 ~ /^MAINT/ || $18 ~ /^DRAIN/) { print $2 }')
fi
for server in $servers; do
  if [ "$(state_of "$server")" = UP ]; then continue; fi
  tell "set server $backend/$server state drain"
  if wait_for "$server" DRAIN; then
    tell "set server $backend/$server state ready"
    wait_for "$server" UP || { echo "HAProxy takes $server for $(state_of "$server")" >&2; exit 1; }
  else
    echo "$server is not well: HAProxy says $(state_of "$server")" >&2
    tell "set server $backend/$server state maint"
    [ -z "$only" ] || exit 1
    echo "$server"
  fi
done
