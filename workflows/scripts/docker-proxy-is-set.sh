#!/bin/sh
# Probe: does the Docker daemon have exactly these proxies from docker-proxy.sh (or will it, when it starts)?
#
# usage: HTTP_PROXY_URL=... HTTPS_PROXY_URL=... NO_PROXY_LIST=... docker-proxy-is-set.sh          (as root; each may be empty)
# exit:  0 it has (or all are empty, and there is no file of docker-proxy.sh)
#        1 it has not, or docker-proxy.sh was killed before it restarted Docker
#        2 cannot tell: a file is there but cannot be read
set -eu

readonly FOLDER=/etc/systemd/system/docker.service.d
readonly DROP_IN=$FOLDER/anneal-proxy.conf
readonly VALUES=$FOLDER/anneal-proxy.env
readonly UNFINISHED=$FOLDER/anneal-proxy.unfinished

# The three functions below stand in docker-proxy.sh too.

# One line of an environment file as systemd reads it: \ and " are escaped, % and $ have no meaning there.
assignment() {
  [ -z "$2" ] || printf '%s="%s"\n' "$1" "$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')"
}
wanted_values() {
  assignment HTTP_PROXY "$http"
  assignment HTTPS_PROXY "$https"
  assignment NO_PROXY "$none"
}
wanted_drop_in() { printf '[Service]\nEnvironmentFile=%s\n' "$VALUES"; }

# is FILE MODE TEXT: does the file hold just this, with this mode?
is() {
  [ -f "$1" ] && [ "$(stat -c '%a %u' "$1")" = "$2 0" ] || return 1
  now=$(cat "$1") || {
    echo "cannot read $1: is this run as root?" >&2
    exit 2
  }
  [ "$now" = "$3" ]
}

http=${HTTP_PROXY_URL:-} https=${HTTPS_PROXY_URL:-} none=${NO_PROXY_LIST:-}
[ ! -e "$UNFINISHED" ] || exit 1
if [ -z "$http$https$none" ]; then
  [ ! -e "$DROP_IN" ] && [ ! -e "$VALUES" ] || exit 1
else
  is "$VALUES" 600 "$(wanted_values)" || exit 1
  is "$DROP_IN" 644 "$(wanted_drop_in)" || exit 1
fi
