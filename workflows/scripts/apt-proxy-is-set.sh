#!/bin/sh
# Probe: does apt have exactly these proxies from apt-proxy.sh?
#
# usage: HTTP_PROXY_URL=... HTTPS_PROXY_URL=... apt-proxy-is-set.sh          (as root; either may be empty)
# exit:  0 it has (or both are empty, and there is no file of apt-proxy.sh)
#        1 it has not
#        2 cannot tell: the file is there but cannot be read
set -eu

readonly FILE=/etc/apt/apt.conf.d/95anneal-proxy

# The same stands in apt-proxy.sh.
wanted() {
  [ -z "$http" ] || printf 'Acquire::http::Proxy "%s";\n' "$http"
  [ -z "$https" ] || printf 'Acquire::https::Proxy "%s";\n' "$https"
}

http=${HTTP_PROXY_URL:-} https=${HTTPS_PROXY_URL:-}
if [ ! -e "$FILE" ]; then
  [ -z "$http$https" ] || exit 1
  exit 0
fi
[ -n "$http$https" ] || exit 1
now=$(cat "$FILE") || {
  echo "cannot read $FILE: is this run as root?" >&2
  exit 2
}
[ "$now" = "$(wanted)" ] || exit 1
[ "$(stat -c '%a %u' "$FILE")" = '600 0' ] || exit 1
