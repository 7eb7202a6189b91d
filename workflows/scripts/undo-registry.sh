#!/bin/sh
# Removes the registry's container. Its content stays in the data folder.
#
# usage: undo-registry.sh NAME          (as root)
# exit:  0   there is no such container (any more)
#        2   wrong usage
#        100 Docker does not answer, or could not remove it: worth a retry
set -eu

[ $# -eq 1 ] || {
  echo "usage: undo-registry.sh NAME" >&2
  exit 2
}
command -v docker >/dev/null 2>&1 || exit 0
timeout 30 docker version >/dev/null 2>&1 </dev/null || {
  echo "Docker does not answer on this machine. See: systemctl status docker" >&2
  exit 100
}
docker container inspect "$1" >/dev/null 2>&1 || exit 0

# Stopped first, so that the registry ends what it is writing.
docker stop --time 20 "$1" >/dev/null 2>&1 </dev/null || :
complaint=$(docker rm --force "$1" </dev/null 2>&1 >/dev/null) || {
  printf '%s\n' "The container $1 could not be removed:" "$complaint" >&2
  exit 100
}
