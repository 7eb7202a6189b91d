#!/bin/sh
# watch.sh URL SECONDS PLACE: asks once a second, and fails at the first answer that is not 200.
set -eu
url=$1 seconds=$2 place=$3

asked=0
while [ "$asked" -le "$seconds" ]; do
  if ! curl --fail --silent --show-error --output /dev/null --max-time 5 "$url"; then
    echo "$url fails with $place behind it, at question $((asked + 1))" >&2
    exit 1
  fi
  asked=$((asked + 1))
  if [ "$asked" -le "$seconds" ]; then sleep 1; fi
done
echo "asked $asked times, answered $asked times"
