#!/bin/sh
# all-up.sh BACKEND: fails where a server of the backend is not up and in service.
set -eu
backend=$1

stat=$(echo "show stat" | socat -t 10 stdio /run/haproxy/admin.sock)
# Field 1 is the backend, 2 the server, 18 its state.
servers=$(printf '%s\n' "$stat" | awk -F, -v backend="$backend" '$1 == backend && $2 != "BACKEND" && $2 != "FRONTEND" { print $2, $18 }')
if [ -z "$servers" ]; then
  echo "HAProxy has no servers in a backend called $backend" >&2
  exit 1
fi
printf '%s\n' "$servers"
if printf '%s\n' "$servers" | grep -q -v ' UP$'; then
  echo "not all servers of $backend are up" >&2
  exit 1
fi
