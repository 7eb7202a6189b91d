#!/bin/sh
# due.sh CERTIFICATE NAME SECONDS: 0 = renew it, 10 = it is for this name and good for longer.
set -eu
certificate=$1 name=$2 seconds=$3

[ -e "$certificate" ] || exit 0
openssl x509 -in "$certificate" -noout -checkend "$seconds" || exit 0
openssl x509 -in "$certificate" -noout -checkhost "$name" | grep -q 'does match' || exit 0
echo "good for more than $seconds seconds"
exit 10
