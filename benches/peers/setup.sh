#!/usr/bin/env bash
# Installs the peers, in the versions that package-lock.json and requirements.txt pin, into a folder outside the repo that is
# kept between runs: $ANNEAL_BENCH_CACHE, or /var/cache/anneal-bench. Prints the folder.
#
# npm and pip fetch from wherever this machine's own configuration says. A peer that cannot be installed is said so here, loudly;
# its rows in the table fail, and the others are measured.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ANNEAL_BENCH_CACHE:-/var/cache/anneal-bench}
mkdir -p "$cache" || exit 1

# peer NAME PINS COMMAND...: runs COMMAND in $cache/NAME unless it ran with the same pins before.
peer() {
  local name=$1 pins=$2 folder=$cache/$1
  shift 2
  if cmp -s "$here/$pins" "$folder/$pins"; then return; fi
  rm -rf "$folder" && mkdir -p "$folder" || return 1
  if (cd "$folder" && "$@") >"$folder/setup.log" 2>&1; then
    cp "$here/$pins" "$folder/$pins" # last: it says that the folder is whole
  else
    echo "PEER MISSING: $name could not be installed; the end of $folder/setup.log:" >&2
    tail -n 5 "$folder/setup.log" >&2
  fi
}

restate() {
  cp "$here/package.json" "$here/package-lock.json" . || return 1
  local status=0
  npm ci --ignore-scripts --no-audit --no-fund || status=1
  rm -f package-lock.json
  return $status
}

dbos() {
  python3 -m venv venv && venv/bin/pip install --quiet --require-virtualenv -r "$here/requirements.txt"
}

ssh() {
  python3 -m venv venv && venv/bin/pip install --quiet --require-virtualenv -r "$here/requirements-ssh.txt"
}

peer restate package-lock.json restate
peer dbos requirements.txt dbos
peer ssh requirements-ssh.txt ssh
echo "$cache"
