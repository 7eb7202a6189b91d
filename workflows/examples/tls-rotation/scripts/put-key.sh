#!/bin/sh
# put-key.sh KEY OPERATION: the operation's new key takes the place of KEY, which is kept. Run again, it does nothing.
set -eu
umask 077
key=$1 new=$1.$2 before=$1.before-$2

[ -e "$new" ] || exit 0
if [ -e "$key" ]; then
  if [ ! -e "$before" ]; then
    cp --preserve=all "$key" "$before.new"
    mv "$before.new" "$before"
  fi
  # As whoever set the server up wanted it.
  chown --reference="$key" "$new"
  chmod --reference="$key" "$new"
fi
mv "$new" "$key"
