#!/bin/sh
# prove.sh PORT NAME TRUSTED CERTIFICATE: a new connection to this machine is answered with exactly CERTIFICATE, and a client
# that trusts TRUSTED accepts it for NAME. A reload takes a moment, so it asks for ten seconds.
set -eu
port=$1 name=$2 trusted=$3 certificate=$4

wanted=$(openssl x509 -in "$certificate" -noout -fingerprint -sha256)
for _ in 1 2 3 4 5 6 7 8 9 10; do
  said=$(openssl s_client -connect "127.0.0.1:$port" -servername "$name" -verify_hostname "$name" -CAfile "$trusted" \
    -verify_return_error </dev/null 2>&1) && shown=$(printf '%s\n' "$said" | openssl x509 -noout -fingerprint -sha256) || shown='no handshake'
  if [ "$shown" = "$wanted" ]; then
    openssl x509 -in "$certificate" -noout -enddate
    exit 0
  fi
  sleep 1
done
printf '%s\n' "$said" | grep -i -m 3 verif >&2 || :
printf 'a client of %s does not get the new certificate: %s\n' "$name" "$shown" >&2
exit 1
