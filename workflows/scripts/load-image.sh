#!/bin/sh
# Loads an image archive (`docker save`) into Docker. Prints one line: how to name the image when it is run, which is the archive's
# first tag, else the image's id. Loading it again changes nothing and prints the same.
#
# usage: load-image.sh ARCHIVE          (as root)
# exit:  0   loaded
#        2   wrong usage, or no such archive
#        3   Docker refuses the archive
#        100 Docker does not answer: worth a retry
set -eu

[ $# -eq 1 ] || {
  echo "usage: load-image.sh ARCHIVE" >&2
  exit 2
}
[ -f "$1" ] || {
  echo "there is no archive $1 on this machine" >&2
  exit 2
}
timeout 30 docker version >/dev/null 2>&1 </dev/null || {
  echo "Docker does not answer on this machine. See: systemctl status docker" >&2
  exit 100
}

said=$(docker load --input "$1" </dev/null 2>&1) || {
  printf '%s\n' "Docker refuses the archive $1: is it made by \`docker save\`?" "$said" >&2
  exit 3
}
name=$(printf '%s\n' "$said" | sed -n 's/^Loaded image: //p' | head -n 1)
[ -n "$name" ] || name=$(printf '%s\n' "$said" | sed -n 's/^Loaded image ID: //p' | head -n 1)
[ -n "$name" ] || {
  printf '%s\n' "Docker loaded $1, but did not say what was in it:" "$said" >&2
  exit 3
}
printf '%s\n' "$name"
