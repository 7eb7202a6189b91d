#!/usr/bin/env bash
# make bench: every benchmark, one after the other, on a release build. Fails when a figure is over its bound.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p anneal -p anneal-benches
code=0
# Not /tmp, which may be memory: the disk is what is measured.
folder=${BENCH_DIR:-target}
host=$(tests/testbed/testbed up bench1)
trap 'tests/testbed/testbed down bench1 >/dev/null 2>&1 || true' EXIT
target/release/commands target/release/anneal "$host" || code=1
target/release/chain "$folder" || code=1
target/release/compile || code=1
peers=$(benches/peers/setup.sh)
target/release/durable "$folder" benches/peers "$peers" || code=1
target/release/fleet target/release/anneal "$folder" benches/peers "$peers" --svg target/fleet.svg || code=1
target/release/upload target/release/anneal "$folder" || code=1
target/release/recovery "$folder" || code=1
target/release/space "$folder" || code=1
exit $code
