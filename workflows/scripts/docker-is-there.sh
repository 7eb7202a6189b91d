#!/bin/sh
# Probe: is a Docker daemon installed, running and answering? Prints its version when it is.
#
# What counts is an answer, not which package it came from: a Docker that somebody installed otherwise is Docker.
#
# usage: docker-is-there.sh          (as root)
# exit:  0 it is there
#        1 it is not: not installed, or not running (installing starts it)
#        2 cannot tell: it runs, or is starting, but does not answer
set -eu

command -v docker >/dev/null 2>&1 || exit 1

# A daemon that is just starting gets half a minute.
deadline=$(($(date +%s) + 30))
while :; do
  version=$(timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null) && rc=0 || rc=$?
  if [ "$rc" -eq 0 ] && [ -n "$version" ]; then
    printf '%s\n' "$version"
    exit 0
  fi
  state=$(systemctl is-active docker.service 2>/dev/null) || :
  case $state in
    active | activating | reloading) ;;
    *) exit 1 ;;
  esac
  [ "$(date +%s)" -lt "$deadline" ] || break
  sleep 1
done

echo "Docker is installed and its service is $state, but it does not answer. See: journalctl -u docker" >&2
exit 2
