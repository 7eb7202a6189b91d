#!/bin/sh
# request.sh KEY NAME OPERATION: makes a key beside KEY, if this operation has not made it yet, and writes a request for it.
set -eu
umask 077
key=$1.$3 name=$2

if [ ! -s "$key" ]; then
  openssl ecparam -genkey -name prime256v1 -noout -out "$key.new"
  mv "$key.new" "$key"
fi
openssl req -new -key "$key" -subj "/CN=$name" -addext "subjectAltName=DNS:$name"
