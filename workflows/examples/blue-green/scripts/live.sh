#!/bin/sh
# live.sh HOME: `blue`, `green`, or `none` before the first release.
set -eu
home=$1

if [ ! -e "$home/live.conf" ]; then
  echo none
  exit 0
fi
place=$(readlink "$home/live.conf")
place=${place#to-}
case "${place%.conf}" in
  blue | green) echo "${place%.conf}" ;;
  *) echo "$home/live.conf points to neither place: $place" >&2; exit 1 ;;
esac
