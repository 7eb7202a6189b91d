#!/bin/sh
# upgrade.sh: all packages, without a question; configuration files that were changed by hand stay. The last lines say which
# packages were upgraded, and whether the machine should be restarted.
set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
# An upgrade that was cut off leaves this to be done first.
dpkg --configure -a
versions() { dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}=${Version}\n' | sed -n 's/^ii  *//p' | sort; }

before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
versions >"$before"
apt-get update --quiet || exit 100
apt-get upgrade --quiet --yes -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
versions >"$after"
echo "upgraded: $(comm -13 "$before" "$after" | tr '\n' ' ')"
if [ -e /run/reboot-required ]; then echo "restart: true"; else echo "restart: false"; fi
