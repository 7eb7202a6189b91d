#!/bin/sh
# Tells the Docker daemon of the proxies. With all three empty, what an earlier run told it is taken back.
#
# The values stand in a file of root's alone (0600) that the systemd drop-in only names: `systemctl show docker` tells any user
# what stands in an `Environment=` line, so a password must not stand there.
#
# Docker is restarted only when something changed, and only if it runs; otherwise it has the proxies when it starts. A note is kept
# from before the first change until after the restart: a run that was killed in between is known by it, and is done again.
#
# usage: HTTP_PROXY_URL=... HTTPS_PROXY_URL=... NO_PROXY_LIST=... docker-proxy.sh          (as root; each may be empty)
# exit:  0 Docker has these proxies, or will have them when it starts
#        2 a value holds a control character, or this is not run as root
#        4 Docker does not start again
#        other: a file could not be written
set -eu
umask 077

readonly FOLDER=/etc/systemd/system/docker.service.d
readonly DROP_IN=$FOLDER/anneal-proxy.conf
readonly VALUES=$FOLDER/anneal-proxy.env
readonly UNFINISHED=$FOLDER/anneal-proxy.unfinished

fail() {
  code=$1
  shift
  printf '%s\n' "$@" >&2
  exit "$code"
}

# The three functions below stand in docker-proxy-is-set.sh too.

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
is() { [ -f "$1" ] && [ "$(stat -c '%a %u' "$1")" = "$2 0" ] && [ "$(cat "$1")" = "$3" ]; }

# write FILE MODE <TEXT: whole or not at all.
write() {
  rm -f "$1.new"
  cat >"$1.new"
  chmod "$2" "$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
}

# Docker takes what systemd now says. It is not started if it does not run.
restart_docker() {
  systemctl daemon-reload
  systemctl reset-failed docker.service >/dev/null 2>&1 || :
  systemctl try-restart docker.service </dev/null || fail 4 "Docker does not start with these proxies. See: journalctl -u docker" \
    "$(journalctl --unit docker.service --no-pager --lines 10 --output cat 2>/dev/null || :)"
}

http=${HTTP_PROXY_URL:-} https=${HTTPS_PROXY_URL:-} none=${NO_PROXY_LIST:-}
[ "$(id -u)" -eq 0 ] || fail 2 "Docker's configuration needs root"
for value in "$http" "$https" "$none"; do
  case $value in
    *[[:cntrl:]]*) fail 2 "a proxy value holds a control character, such as a line break" ;;
  esac
done

if [ -z "$http$https$none" ]; then
  [ -e "$DROP_IN" ] || [ -e "$VALUES" ] || [ -e "$UNFINISHED" ] || exit 0
  : >"$UNFINISHED"
  sync "$FOLDER"
  rm -f "$DROP_IN" "$VALUES" "$DROP_IN.new" "$VALUES.new"
else
  (umask 022 && mkdir -p "$FOLDER")
  [ -e "$UNFINISHED" ] || ! is "$VALUES" 600 "$(wanted_values)" || ! is "$DROP_IN" 644 "$(wanted_drop_in)" || exit 0
  : >"$UNFINISHED"
  sync "$FOLDER"
  wanted_values | write "$VALUES" 600
  wanted_drop_in | write "$DROP_IN" 644
fi
sync "$FOLDER"
restart_docker
rm -f "$UNFINISHED"
rmdir "$FOLDER" 2>/dev/null || :
