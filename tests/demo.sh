#!/usr/bin/env bash
# make demo: what Anneal is for, from nothing, on one Debian machine with root. It says in plain words what it shows.
#
# Two disposable hosts that behave like VMs come up. A registry is installed on the first and an image pushed to it. In the
# middle of a second install, on a host without Docker, Anneal is killed with SIGKILL, and then the host is rebooted too.
# `anneal resume` goes on where it was. At the end both registries serve. KEEP=1 leaves the hosts up.
set -euo pipefail
cd "$(dirname "$0")/.."

testbed=tests/testbed/testbed
anneal=target/debug/anneal
work=$(mktemp -d /tmp/anneal-demo.XXXXXX)
export ANNEAL_DATA_DIR=$work/data
engine=
began=$SECONDS

cleanup() {
  local code=$?
  [ -z "$engine" ] || kill -KILL "$engine" 2>/dev/null || true
  if [ -z "${KEEP:-}" ]; then
    "$testbed" down demo1 demo2 >/dev/null 2>&1 || true
    rm -rf "$work"
  else
    echo "left up: demo1 and demo2; the store is $ANNEAL_DATA_DIR"
  fi
  [ "$code" = 0 ] || echo "the demo FAILED (exit code $code)"
}
trap cleanup EXIT

title() { printf '\n\033[1m▌ %s\033[0m\n' "$*"; }
show() {
  printf '$ %s\n' "$*"
  "$@"
}
field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }

title "1. Getting ready: Anneal is built, two hosts are started (the first time this takes some minutes)"
cargo build --quiet -p anneal &
build=$!
"$testbed" setup
wait "$build"
"$testbed" down demo1 demo2 >/dev/null 2>&1 || true
one=$("$testbed" up demo1)
two=$("$testbed" up demo2 --bare)
address1=$(field address <<<"$one")
address2=$(field address <<<"$two")
archive=$("$testbed" archive)
sample=$("$testbed" sample-image)
echo "demo1 at $address1 has Docker; demo2 at $address2 has not"

cat >"$work/inventory.ron" <<RON
Inventory(
    hosts: {
        "demo1": Ssh(address: "$address1", user: "ubuntu", password: Env("DEMO_PASSWORD")),
        "demo2": Ssh(address: "$address2", user: "ubuntu", password: Env("DEMO_PASSWORD")),
    },
)
RON
export DEMO_PASSWORD=ubuntu
ready=$SECONDS

title "2. A registry is installed on demo1 from workflows/registry-install.ron, over SSH, step by step"
sed 's/^)$/    roles: { "registry": ["demo1"] },\n)/' "$work/inventory.ron" >"$work/one.ron"
sed 's/^)$/    roles: { "registry": ["demo2"] },\n)/' "$work/inventory.ron" >"$work/two.ron"
show "$anneal" run registry-install --inventory "$work/one.ron" --input image="$archive" --accept-new-host-keys

title "3. An image is pushed to it"
show skopeo --insecure-policy copy --quiet --dest-tls-verify=false "docker-archive:$sample" "docker://$address1:5000/sample:1"
echo "pushed $address1:5000/sample:1"

title "4. A second install, on demo2 – and Anneal is killed with SIGKILL while apt works there"
"$anneal" run registry-install --inventory "$work/two.ron" --input image="$archive" --accept-new-host-keys &
engine=$!
for _ in $(seq 300); do
  if "$testbed" exec demo2 -- pgrep -x 'apt-get|dpkg' >/dev/null 2>&1; then break; fi
  kill -0 "$engine" 2>/dev/null || { echo "the install ended before it could be killed"; exit 1; }
done
kill -KILL "$engine"
# The shell's own word about it is not needed.
exec 3>&2 2>/dev/null
wait "$engine" || true
exec 2>&3 3>&-
engine=
echo "killed: no process of Anneal is left"
show "$anneal" ops
operation=$("$anneal" ops | tail -n 1 | cut -d' ' -f1)

title "5. The host is rebooted too, in the middle of what it was doing"
"$testbed" reboot demo2 >/dev/null
echo "demo2 was restarted; its package manager was interrupted"

title "6. Resume: what had succeeded is not done again, what is unknown is named and decided by the step's policy"
show "$anneal" resume "$operation"
show "$anneal" show "$operation"

title "7. Both registries serve; the image comes back from the first, digest for digest"
skopeo --insecure-policy copy --quiet --src-tls-verify=false "docker://$address1:5000/sample:1" "dir:$work/pulled"
pushed=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$address1:5000/sample:1")
pulled=sha256:$(sha256sum "$work/pulled/manifest.json" | cut -d' ' -f1)
echo "on demo1: $pushed"
echo "pulled:   $pulled"
[ "$pushed" = "$pulled" ]
skopeo --insecure-policy copy --quiet --src-tls-verify=false --dest-tls-verify=false \
  "docker://$address1:5000/sample:1" "docker://$address2:5000/sample:1"
echo "copied to demo2: $address2:5000/sample:1"

title "Done: a host with a registry, and one that was killed and rebooted half-way and has one all the same"
echo "getting ready $((ready - began)) s, the demo itself $((SECONDS - ready)) s"
