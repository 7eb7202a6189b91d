#!/bin/sh
# put-key-back.sh KEY OPERATION: the key that was there before the operation; none where there was none.
set -eu
key=$1 new=$1.$2 before=$1.before-$2

# The new key never took its place.
if [ -e "$new" ]; then
  rm -f "$before" "$before.new"
  exit 0
fi
if [ -e "$before" ]; then mv "$before" "$key"; else rm -f "$key"; fi
