# shellcheck shell=bash
# The Debian packages that the machine itself needs. Only what is missing is installed, and nothing it brings is started.

# command:package
readonly needed_commands="dockerd:docker.io docker:docker.io containerd:containerd runc:runc mmdebstrap:mmdebstrap
  skopeo:skopeo sshpass:sshpass ssh:openssh-client ssh-keygen:openssh-client ip:iproute2 iptables:iptables"
readonly policy_file=/usr/sbin/policy-rc.d
readonly policy_mark='# anneal-testbed: only while its packages are installed'

missing_packages() {
  local pair
  for pair in $needed_commands; do
    command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
  done | sort -u
}

# apt's own lists have a lock that apt does not wait for.
refresh_apt_lists() {
  local log=$cache/apt-update.log
  say "refreshing apt's package lists"
  wait_until 300 try_apt_update "$log" ||
    die "apt-get update failed (log: $log): $(tail -n 3 "$log" | tr '\n' ' ')" "check the machine's apt sources and network"
}
try_apt_update() {
  apt-get update -o APT::Update::Error-Mode=any >"$1" 2>&1 && return 0
  # Anything but a lock held by somebody else will not get better by waiting.
  grep -q 'Could not get lock' "$1" || die "apt-get update failed (log: $1): $(grep -m 3 '^E:' "$1" | tr '\n' ' ')" \
    "check the machine's apt sources and network"
  sleep 1
  return 1
}

ensure_packages() {
  [ -n "$(missing_packages)" ] || return 0
  locked "$cache/lock" install_packages
}

install_packages() {
  local log=$cache/apt-install.log packages
  [ "$(id -u)" = 0 ] || die "the testbed needs root" "run it as root"
  command -v apt-get >/dev/null || die "this machine has no apt-get" "the testbed runs on Debian"
  packages=$(missing_packages | tr '\n' ' ')
  [ -n "$packages" ] || return 0
  refresh_apt_lists
  say "installing Debian packages: $packages"
  forbid_services
  # shellcheck disable=SC2086 # a list of packages
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 \
    $packages >"$log" 2>&1 || {
    allow_services
    die "apt-get install failed (log: $log): $(grep -m 3 '^E:' "$log" | tr '\n' ' ')" "run it by hand: apt-get install $packages"
  }
  allow_services
  hash -r
  packages=$(missing_packages | tr '\n' ' ')
  [ -z "$packages" ] || die "these packages are installed, but not the commands the testbed wants of them: $packages"
}

# A machine's own policy file stays as it is. One of ours that a kill left behind is known by its mark.
forbid_services() {
  trap allow_services EXIT
  [ -e "$policy_file" ] || printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy_file"
  chmod +x "$policy_file"
}
allow_services() {
  trap - EXIT
  if grep -qxF "$policy_mark" "$policy_file" 2>/dev/null; then rm -f "$policy_file"; fi
}
