#!/usr/bin/env bash
# Sets up what the tests need on a Debian machine that has root, apt and a Rust toolchain: packages, cargo-nextest, and the
# testbed's images. Does nothing the second time.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

command -v cargo >/dev/null || {
  say "cargo is missing: install a Rust toolchain (1.95 or newer) first"
  exit 1
}
cargo nextest --version >/dev/null 2>&1 || {
  say "installing cargo-nextest"
  cargo install --locked cargo-nextest
}

# Package, and the command that shows that it is there.
need=()
while read -r package command; do
  command -v "$command" >/dev/null || need+=("$package")
done <<'LIST'
openssh-server /usr/sbin/sshd
openssh-client ssh
busybox busybox
dash dash
procps pgrep
sudo sudo
iptables iptables
iproute2 ip
faketime faketime
LIST
if [ ${#need[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || {
    say "missing packages: ${need[*]}; install them, or run this as root"
    exit 1
  }
  say "installing ${need[*]}"
  apt-get update -qq
  # A server's package must not start it here: the tests start their own on ports of their own.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${need[@]}" >&2
fi
mkdir -p /run/sshd

tests/testbed/testbed setup
