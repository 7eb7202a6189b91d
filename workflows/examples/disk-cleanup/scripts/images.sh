#!/bin/sh
# images.sh tell|delete SECONDS: Docker images that are older and that no container uses, running or not. Their sizes count
# layers that several share once each, so the space that comes free may be less. The last line is `total BYTES`.
set -eu
mode=$1 age=$2

if ! command -v docker >/dev/null; then
  echo "no Docker on this machine"
  echo "total 0"
  exit 0
fi
# Each command on its own: a failure in a pipe would look like an empty list.
containers=$(docker container ls --all --quiet)
images=$(docker image ls --quiet --no-trunc)
used=$(printf '%s\n' "$containers" | xargs --no-run-if-empty docker container inspect --format '{{.Image}}')
oldest=$(($(date +%s) - age))
total=0
for id in $(printf '%s\n' "$images" | sort -u); do
  case "$used" in *"$id"*) continue ;; esac
  about=$(docker image inspect --format '{{.Created}} {{.Size}} {{join .RepoTags ","}}' "$id")
  created=${about%% *} about=${about#* }
  size=${about%% *} tags=${about#* }
  [ "$(date --date "$created" +%s)" -lt "$oldest" ] || continue
  echo "$mode $id ${tags:-without a name}: $size bytes, made $created"
  if [ "$mode" = delete ]; then
    # A container may have been made of it this moment: then Docker refuses, it stays, and the others still go.
    docker image rm --force "$id" >/dev/null || continue
  fi
  total=$((total + size))
done
echo "total $total"
