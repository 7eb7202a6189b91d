# shellcheck shell=bash
# The checkout's own containerd and dockerd: their sockets, data and logs all lie in the state folder.
#
# dockerd would use a system containerd if it found one, so it is told of ours. It makes no iptables rules, no NAT and no
# default bridge: hosts need none, and the machine's firewall stays as it is.

docker_cli() {
  env -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY -u DOCKER_CERT_PATH \
    DOCKER_CONFIG="$state/docker-config" DOCKER_HOST="unix://$state/docker.sock" docker "$@"
}

daemon_runs() { [ -n "$(running_pid containerd)" ] && [ -n "$(running_pid dockerd)" ] && [ -S "$state/docker.sock" ]; }
daemon_answers() { docker_cli version >/dev/null 2>&1; }

ensure_daemon() {
  daemon_runs || locked "$state/lock" start_daemon
}

start_daemon() {
  daemon_runs && return 0
  say "starting the private dockerd"
  # What one of the two left when the other died, or the machine was restarted, is stale.
  end_process dockerd 20
  end_process containerd 10
  kill_cgroup
  unmount_below "$state"
  rm -rf "$state/exec" "$state/containerd-run" "$state"/*.sock "$state/dockerd.own.pid"
  mkdir -p "$state/docker-config"
  printf '%s\n' "$checkout" >"$state/checkout"
  raise_inotify_limit

  cat >"$state/containerd.toml" <<END
version = 2
root = "$state/containerd"
state = "$state/containerd-run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$state/containerd.sock"
END
  spawn containerd containerd --config "$state/containerd.toml" --log-level warn
  wait_until 30 test -S "$state/containerd.sock" || die_with_log containerd "does not come up"

  spawn dockerd dockerd --host "unix://$state/docker.sock" --containerd "$state/containerd.sock" \
    --data-root "$state/docker" --exec-root "$state/exec" --pidfile "$state/dockerd.own.pid" \
    --cgroup-parent "/$cgroup" --storage-driver overlay2 --bridge none \
    --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false --log-level warn
  wait_until 60 daemon_answers || die_with_log dockerd "does not come up"
}

die_with_log() {
  tail -n 15 "$state/$1.log" >&2 || true
  die "$1 $2 (log: $state/$1.log)" "its last lines stand above"
}

# Each host's systemd takes several instances; Debian's 128 a user suffice for 17 hosts. Only ever raised.
raise_inotify_limit() {
  local limit=/proc/sys/fs/inotify/max_user_instances
  [ "$(cat $limit)" -ge 8192 ] || echo 8192 >$limit || say "warning: could not raise $limit: the 18th host will not start"
}

# Whatever still runs in our cgroup was started by our containerd, even if that has died since.
kill_cgroup() {
  cgroup_processes | xargs -r kill -9 2>/dev/null || true
  wait_until 10 cgroup_empty || die "processes in the cgroup $cgroup do not end"
  find /sys/fs/cgroup -depth -type d \( -name "$cgroup" -o -path "*/$cgroup/*" \) -exec rmdir {} + 2>/dev/null || true
}
cgroup_processes() { find /sys/fs/cgroup -path "*/$cgroup/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u; }
cgroup_empty() { [ -z "$(cgroup_processes)" ]; }

unmount_below() {
  local target
  while read -r target; do
    umount -l "$target" 2>/dev/null || true
  done < <(cut -d' ' -f2 /proc/mounts | grep -F "$1/" | sort -r)
}

# teardown [--cache]: as if this checkout's testbed had never run. The cache belongs to all checkouts and is kept.
teardown() {
  case ${1:-} in
    '') ;;
    --cache) ;;
    *) die "teardown takes --cache or nothing, not \`$1\`" ;;
  esac
  if [ -d "$state" ]; then
    locked "$state/lock" remove_everything
    rm -rf "$state"
    rmdir "$(dirname "$state")" 2>/dev/null || true
  fi
  if [ "${1:-}" = --cache ] && [ -d "$cache" ]; then
    locked "$cache/lock" find "$cache" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
    rm -rf "$cache"
  fi
  say "everything of $checkout is gone"
}

remove_everything() {
  if daemon_runs && daemon_answers; then
    local containers
    mapfile -t containers < <(docker_cli ps -aq)
    [ ${#containers[@]} -eq 0 ] || docker_cli rm -f -v "${containers[@]}" >/dev/null || true
    docker_cli network rm "$bridge" >/dev/null 2>&1 || true
  fi
  end_process dockerd 20
  end_process containerd 10
  kill_cgroup
  kill_shims
  network_forget
  unmount_below "$state"
  find "$state" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} + ||
    die "could not empty $state" "see what is in the way: grep $state /proc/mounts"
}

# Shims of containers that were running when their containerd was killed.
kill_shims() {
  local cmdline pid
  for cmdline in /proc/[0-9]*/cmdline; do
    pid=${cmdline#/proc/}
    pid=${pid%/cmdline}
    if tr '\0' ' ' <"$cmdline" 2>/dev/null | grep -q "^[^ ]*containerd-shim[^ ]* .*-address $state/containerd.sock"; then
      kill -9 "$pid" 2>/dev/null || true
    fi
  done
}
