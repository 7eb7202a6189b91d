#!/bin/sh
# Counts seconds. It is killed by nothing that happens to Anneal: kill the engine, resume, and the count goes on.
#
# usage: hello.sh SECONDS
set -eu

n=0
while [ "$n" -lt "$1" ]; do
  n=$((n + 1))
  echo "second $n of $1"
  sleep 1
done
echo "counted $n"
