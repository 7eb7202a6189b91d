#!/bin/sh
# start.sh SERVICE HOME PLACE: the release, unpacked into a place that does not serve, and started there.
set -eu
service=$1 home=$2 place=$3

systemctl daemon-reload
systemctl stop "$service@$place"
rm -rf "$home/$place.new"
mkdir -p "$home/$place.new"
tar --extract --gzip --no-same-owner --directory "$home/$place.new" --file "$home/release.tar.gz"
if [ ! -x "$home/$place.new/run" ]; then
  echo "the release has no executable file called run" >&2
  exit 1
fi
chmod 755 "$home/$place.new"
rm -rf "${home:?}/$place"
mv "$home/$place.new" "$home/$place"
systemctl enable --quiet "$service@$place"
systemctl start "$service@$place"
