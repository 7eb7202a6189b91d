#!/bin/sh
# Tells apt of the proxies. With both empty, what an earlier run told it is taken back.
#
# The file is root's alone (0600), since a proxy's URL may carry a password. apt works with that: it reads its configuration as
# root and hands it to the downloaders that run as `_apt` through a pipe. Another user's apt-cache or `apt-get -s` works too,
# and warns that it could not read the file.
#
# usage: HTTP_PROXY_URL=... HTTPS_PROXY_URL=... apt-proxy.sh          (as root; either may be empty)
# exit:  0 apt has these proxies
#        2 a URL cannot be written into apt's configuration, or this is not run as root
#        other: the file could not be written
set -eu
umask 077

readonly FOLDER=/etc/apt/apt.conf.d
readonly FILE=$FOLDER/95anneal-proxy
# apt passes over names that begin with a dot.
readonly NEW=$FOLDER/.95anneal-proxy.new

fail() {
  printf '%s\n' "$1" >&2
  exit 2
}

# apt's configuration knows no way to write these inside quotes. The URL itself is not shown: it may hold a password.
writable() {
  case $2 in
    *[[:cntrl:][:space:]\"\\]*) fail "$1 holds a space, a quote, a backslash or a control character: percent-encode it (%20, %22, %5C)" ;;
  esac
}

# The same stands in apt-proxy-is-set.sh.
wanted() {
  [ -z "$http" ] || printf 'Acquire::http::Proxy "%s";\n' "$http"
  [ -z "$https" ] || printf 'Acquire::https::Proxy "%s";\n' "$https"
}

http=${HTTP_PROXY_URL:-} https=${HTTPS_PROXY_URL:-}
[ "$(id -u)" -eq 0 ] || fail "apt's configuration needs root"
writable HTTP_PROXY_URL "$http"
writable HTTPS_PROXY_URL "$https"

rm -f "$NEW"
if [ -z "$http$https" ]; then
  rm -f "$FILE"
else
  wanted >"$NEW"
  sync "$NEW"
  mv -f "$NEW" "$FILE"
fi
sync "$FOLDER"
