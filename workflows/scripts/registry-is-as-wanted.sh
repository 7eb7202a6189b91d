#!/bin/sh
# Probe: does the registry's container run with just this port, image, data folder and restart policy?
#
# usage: registry-is-as-wanted.sh PORT IMAGE DATA_DIR NAME          (as root; IMAGE is a tag or an image's id)
# exit:  0 it does
#        1 it does not: no Docker, no container, another image, port, folder or policy, stopped or restarting
#        2 cannot tell: wrong usage, or Docker does not answer
set -eu

[ $# -eq 4 ] || {
  echo "usage: registry-is-as-wanted.sh PORT IMAGE DATA_DIR NAME" >&2
  exit 2
}
port=$1 image=$2 data=$3 name=$4

# What is and what should be, as one line each. The functions down to never_restarted stand in run-registry.sh too.
actual() {
  docker container inspect --format \
    '{{.State.Status}} {{.Image}} {{.HostConfig.RestartPolicy.Name}} {{json .HostConfig.PortBindings}} {{json .HostConfig.Binds}}' "$name"
}
wanted() { printf 'running %s always {"5000/tcp":[{"HostIp":"","HostPort":"%s"}]} ["%s:/var/lib/registry"]' "$image_id" "$port" "$data"; }

# A container that ends again and again is running at times. One that stays up runs two seconds later, since the same moment.
# (`docker wait` returns early when it ends; where it was restarting already, only the moment tells.)
state() { docker container inspect --format "$1" "$name" 2>/dev/null; }
stays_up() {
  since=$(state '{{.State.StartedAt}}') || return 1
  timeout 2 docker wait "$name" >/dev/null 2>&1 </dev/null && return 1
  [ "$(state '{{.State.Status}} {{.State.StartedAt}}')" = "running $since" ]
}
never_restarted() { [ "$(state '{{.RestartCount}}')" = 0 ]; }

# Without Docker nothing runs in it.
command -v docker >/dev/null 2>&1 || exit 1
timeout 30 docker version >/dev/null 2>&1 </dev/null || {
  echo "Docker does not answer on this machine. See: systemctl status docker" >&2
  exit 2
}
image_id=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null) || exit 1
now=$(actual 2>/dev/null) || exit 1
[ "$now" = "$(wanted)" ] || exit 1
never_restarted || stays_up || exit 1
