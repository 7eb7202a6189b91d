#!/bin/sh
# switch.sh HOME PLACE: the proxy sends everybody to this place; to nobody where it is `none`. Harmless to repeat.
set -eu
home=$1 place=$2

if [ "$place" = none ]; then
  rm -f "$home/live.conf"
else
  rm -f "$home/live.new"
  ln -s "to-$place.conf" "$home/live.new"
  mv -T "$home/live.new" "$home/live.conf"
fi
nginx -t -q
systemctl reload-or-restart nginx
