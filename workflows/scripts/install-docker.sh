#!/bin/sh
# Installs Docker from the distribution's own packages (Debian, Ubuntu and what derives from them), and starts it.
#
# A Docker that is there already, from wherever, is kept: only its service is enabled and started. Safe to be killed and run
# again: what a killed dpkg left half done is finished first, and locks of apt and dpkg are waited for.
#
# usage: install-docker.sh           (as root)
# exit:  0   Docker is installed, enabled and answers
#        2   not run as root
#        3   this machine is not supported: install Docker yourself, then this step finds it done
#        4   Docker is installed but does not start
#        100 apt or dpkg failed in a way worth a retry: network, repository, lock
set -eu

readonly LOCK_WAIT_S=300
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8

say() { printf '%s\n' "$*" >&2; }
fail() {
  code=$1
  shift
  say "$@"
  exit "$code"
}

# Runs a command of apt's or dpkg's. Where it fails for a lock that somebody else holds, it is run again until the time is up.
# What it wrote is in $log.
patiently() {
  waited=0
  while :; do
    "$@" </dev/null >"$log" 2>&1 && return 0
    grep -qiE 'could not get lock|unable to (acquire|lock)|lock.* (was )?locked by another|is another process using it' "$log" || return 1
    [ "$waited" -lt "$LOCK_WAIT_S" ] || return 1
    [ "$waited" -gt 0 ] || say "waiting for another apt or dpkg to end (at most $LOCK_WAIT_S s)"
    sleep 3
    waited=$((waited + 3))
  done
}

# The lines of $log that say why, else its last ones.
complaint() {
  if grep -qE '^(E|Err|dpkg):' "$log"; then grep -E '^(E|Err|W|dpkg):' "$log"; else cat "$log"; fi | tail -n 8
}

answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

package_state() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || :; }

# AppArmor is asked for where the kernel enforces it, since Docker starts no container there without its parser.
packages() {
  printf 'docker.io ca-certificates'
  if grep -q Y /sys/module/apparmor/parameters/enabled 2>/dev/null && ! command -v apparmor_parser >/dev/null; then
    printf ' apparmor'
  fi
}

install_packages() {
  patiently dpkg --configure -a --force-confdef --force-confold ||
    fail 100 "dpkg was interrupted before, and \`dpkg --configure -a\` does not mend it:" "$(complaint)"

  patiently apt-get update ||
    fail 100 "\`apt-get update\` failed. Check the machine's package sources, network and proxy:" "$(complaint)"
  warnings=$(grep -E '^(W|Err):' "$log" | tail -n 5 || :)

  apt-cache policy docker.io 2>/dev/null | grep -q 'Candidate: [^(]' ||
    fail 100 "No package source of this machine offers docker.io (on Ubuntu it is in \`universe\`)." "$warnings"

  # shellcheck disable=SC2046 # a list
  patiently apt-get install -y --fix-broken --no-install-recommends \
    -o DPkg::Lock::Timeout="$LOCK_WAIT_S" -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    -o Acquire::Retries=3 $(packages) ||
    fail 100 "\`apt-get install docker.io\` failed:" "$(complaint)"
}

start_docker() {
  systemctl reset-failed docker.service docker.socket >/dev/null 2>&1 || :
  systemctl enable --quiet docker.service </dev/null 2>"$log" || fail 4 "Docker's service cannot be enabled:" "$(cat "$log")"
  systemctl start docker.service </dev/null 2>"$log" || fail 4 "Docker does not start:" "$(cat "$log")" "$(last_words)"
  tries=0
  until answers; do
    [ "$tries" -lt 30 ] || fail 4 "Docker has started but does not answer:" "$(last_words)"
    tries=$((tries + 1))
    sleep 2
  done
}
last_words() { journalctl --unit docker.service --no-pager --lines 15 --output cat 2>/dev/null || :; }

[ "$(id -u)" -eq 0 ] || fail 2 "installing Docker needs root"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

[ -d /run/systemd/system ] || fail 3 "This machine does not run systemd. Install and start Docker yourself, then run this again."

# A daemon that no docker.io package brought is somebody's choice; docker.io would replace it.
if [ "$(package_state docker.io)" = installed ] || { [ -z "$(package_state docker.io)" ] && command -v dockerd >/dev/null; }; then
  say "Docker is installed already"
else
  # shellcheck source=/dev/null
  if [ -r /etc/os-release ]; then . /etc/os-release; fi
  case " ${ID:-unknown} ${ID_LIKE:-} " in
    *" debian "* | *" ubuntu "*) ;;
    *) fail 3 "This machine runs ${PRETTY_NAME:-an unknown system}. Docker can be installed here on Debian and Ubuntu only." \
      "Install Docker yourself and start its service; then this step finds it done." ;;
  esac
  install_packages
fi
start_docker
