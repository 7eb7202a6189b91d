#!/bin/sh
# sign.sh CA NAME DAYS, a request on standard input: the certificate. It signs for NAME and nothing else, whatever the request
# says of itself.
set -eu
umask 077
ca=$1 name=$2 days=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/request"
openssl req -in "$work/request" -noout -verify >&2
cat >"$work/extensions" <<END
subjectAltName=DNS:$name
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
END
openssl x509 -req -in "$work/request" -CA "$ca/ca.crt" -CAkey "$ca/ca.key" -days "$days" -sha256 \
  -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions"
