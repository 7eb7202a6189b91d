# shellcheck shell=bash
# A host's life: up, stop, start, reboot, pause, cut, down.
#
# Invariants:
#   - A host's name, flavour and address are the container's name and labels: there is no second record that could disagree.
#   - A host that is cut stays cut when it is started again, until `mend` or `up`.
#   - `up`, `start`, `reboot`, `unpause` and `mend` return when SSH answers (a cut host: when it runs), or fail by a deadline.

readonly wait_s=${ANNEAL_TESTBED_WAIT:-60}
# For an answer of Docker's that is a template of Go's.
label() { printf '{{index .Config.Labels "anneal.%s"}}' "$1"; }

valid_name() {
  [[ $1 =~ ^[a-z][a-z0-9-]{1,39}$ ]] ||
    die "\`$1\` cannot be a host's name" "small letters, digits and -, a letter first, 2 to 40 of them"
}

# inspect NAME TEMPLATE: empty when there is no such host.
inspect() { docker_cli inspect --type container --format "$2" "$1" 2>/dev/null || true; }

# running | stopped | paused | cut | none
host_state() {
  local status
  status=$(inspect "$1" '{{.State.Status}}')
  case $status in
    running) if [ -e "$state/cut/$1" ]; then printf cut; else printf running; fi ;;
    paused) printf paused ;;
    '') printf none ;;
    *) printf stopped ;;
  esac
}

need_host() {
  valid_name "$1"
  daemon_runs || die "there is no host $1: the testbed does not run" "start it: testbed up $1"
  [ "$(host_state "$1")" != none ] || die "there is no host $1" "see \`testbed list\`, or start it: testbed up $1"
}

host_up() {
  local name='' flavour=docker address=''
  while [ $# -gt 0 ]; do
    case $1 in
      --bare) flavour=bare ;;
      --address) [ $# -ge 2 ] || die "--address needs an address"; address=$2; shift ;;
      -*) die "\`testbed up\` has no option $1" "see \`testbed help\`" ;;
      *) [ -z "$name" ] || die "\`testbed up\` takes one host name"; name=$1 ;;
    esac
    shift
  done
  [ -n "$name" ] || die "\`testbed up\` takes a host name" "testbed up NAME [--bare] [--address IP]"
  valid_name "$name"
  setup

  locked "$state/hosts.lock" create_host "$name" "$flavour" "$address"
  local was
  was=$(inspect "$name" "$(label flavour) $(label address)")
  [ "${was% *}" = "$flavour" ] || die "$name is there already, as the flavour \`${was% *}\`" "testbed down $name"
  [ -z "$address" ] || [ "${was#* }" = "$address" ] || die "$name is there already, at ${was#* }" "testbed down $name"

  case $(host_state "$name") in
    stopped) start_container "$name" ;;
    paused) docker_cli unpause "$name" >/dev/null ;;
  esac
  mend "$name"
  wait_for_ssh "$name"
  if [ "$flavour" = docker ]; then
    wait_until "$wait_s" docker_answers "$name" || die_with_host_log "$name" "Docker in $name does not answer after $wait_s s"
  fi
  host_json "$name"
}

host_json() {
  printf '{"name":"%s","address":"%s","port":22,"user":"ubuntu","password":"ubuntu","key":"%s","root_key":"%s"}\n' \
    "$1" "$(inspect "$1" "$(label address)")" "$state/keys/ubuntu" "$state/keys/root"
}

# Under the lock of the hosts, so that two never get the same address.
create_host() {
  local name=$1 flavour=$2 address=$3 image=$image_host
  [ "$(host_state "$name")" = none ] || return 0
  [ "$flavour" = docker ] || image=$image_bare
  rm -f "$state/cut/$name"
  address=$(choose_address "$address") || return 1
  # Hosts know each other's names; any other name fails after a second instead of twenty.
  # --privileged needs more capabilities than some machines give to root; this list is what systemd and an inner Docker need.
  local complaint
  complaint=$(docker_cli create --name "$name" --hostname "$name" --label "anneal.flavour=$flavour" --label "anneal.address=$address" \
    --network "$bridge" --ip "$address" --dns 127.0.0.1 --dns-opt timeout:1 --dns-opt attempts:1 \
    --restart on-failure --cap-add ALL --cap-drop SYS_RESOURCE --cgroupns private \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
    --device-cgroup-rule 'a *:* rwm' --stop-signal SIGRTMIN+3 \
    --tmpfs /run:rw,exec --tmpfs /run/lock --tmpfs /tmp:rw,exec \
    --volume "$state/authorized:/etc/anneal-testbed/authorized:ro" \
    --volume "$name-docker:/var/lib/docker" --volume "$name-containerd:/var/lib/containerd" \
    "$image" 2>&1 >/dev/null) || die "could not make the host $name: $complaint"
}

choose_address() {
  local wanted=$1 prefix taken last
  prefix=$(subnet_prefix)
  taken=" $(docker_cli ps -a --format '{{.Label "anneal.address"}}' | tr '\n' ' ')"
  if [ -n "$wanted" ]; then
    last=${wanted#"$prefix"}
    [[ $last =~ ^[0-9]{1,3}$ && $last -ge 2 && $last -le 254 ]] ||
      die "$wanted is not an address of the hosts' network ${prefix}0/24" "take ${prefix}2 to ${prefix}254 (see \`testbed network\`)"
    [[ $taken != *" $wanted "* ]] || die "another host has the address $wanted" "see \`testbed list\`"
    printf '%s' "$wanted"
    return
  fi
  for last in {10..254}; do
    [[ $taken == *" $prefix$last "* ]] || { printf '%s' "$prefix$last"; return; }
  done
  die "the hosts' network is full: 245 hosts" "testbed down some"
}

start_container() {
  docker_cli start "$1" >/dev/null 2>&1 || die_with_host_log "$1" "the host $1 does not start"
  # The new start has a new cable.
  if [ -e "$state/cut/$1" ]; then pull_cable "$1" "$(inspect "$1" "$(label address)")"; fi
}

ssh_answers() {
  local banner
  # shellcheck disable=SC2016 # for the inner bash
  banner=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/22" && IFS= read -r line <&3 && printf %s "$line"' "$1" 2>/dev/null) || return 1
  [[ $banner == SSH-2.0-* ]]
}
docker_answers() { docker_cli exec "$1" docker version >/dev/null 2>&1; }

wait_for_ssh() {
  local address
  [ "$(host_state "$1")" = running ] || return 0
  address=$(inspect "$1" "$(label address)")
  wait_until "$wait_s" ssh_answers "$address" || die_with_host_log "$1" "no SSH banner from $1 at $address:22 after $wait_s s"
}

die_with_host_log() {
  {
    printf -- '--- the last lines of %s:\n' "$1"
    docker_cli logs --tail 20 "$1" 2>&1 || true
    docker_cli exec "$1" timeout 5 journalctl --no-pager -n 20 2>&1 || true
    printf -- '---\n'
  } >&2
  die "$2" "look into it: testbed exec $1 -- journalctl -b"
}

host_list() {
  local name address flavour
  daemon_runs || return 0
  docker_cli ps -a --filter label=anneal.flavour --format '{{.Names}} {{.Label "anneal.address"}} {{.Label "anneal.flavour"}}' | sort |
    while read -r name address flavour; do
      printf '{"name":"%s","address":"%s","flavour":"%s","state":"%s"}\n' "$name" "$address" "$flavour" "$(host_state "$name")"
    done
}

host_address_of() {
  need_host "$1"
  inspect "$1" "$(label address)"
}

host_exec() {
  local name=${1:-}
  [[ $# -ge 3 && $2 = -- ]] || die "\`testbed exec\` takes a host name, -- and a command" "testbed exec NAME -- CMD..."
  need_host "$name"
  shift 2
  docker_cli exec -i "$name" "$@"
}

host_stop() {
  need_host "$1"
  docker_cli stop --time 20 "$1" >/dev/null
}
host_start() {
  need_host "$1"
  [ "$(host_state "$1")" != stopped ] || start_container "$1"
  wait_for_ssh "$1"
}
host_reboot() {
  need_host "$1"
  docker_cli kill --signal KILL "$1" >/dev/null 2>&1 || true
  # A frozen host dies when it thaws.
  docker_cli unpause "$1" >/dev/null 2>&1 || true
  wait_until 10 host_has_stopped "$1" || die "the host $1 does not die"
  start_container "$1"
  wait_for_ssh "$1"
}
host_has_stopped() { [ "$(host_state "$1")" = stopped ]; }

host_pause() {
  need_host "$1"
  [ "$(host_state "$1")" = paused ] || docker_cli pause "$1" >/dev/null
}
host_unpause() {
  need_host "$1"
  [ "$(host_state "$1")" != paused ] || docker_cli unpause "$1" >/dev/null
  wait_for_ssh "$1"
}

host_cut() {
  need_host "$1"
  case $(host_state "$1") in
    cut) return 0 ;;
    running) ;;
    *) die "$1 does not run" "testbed start $1 (or unpause) first" ;;
  esac
  pull_cable "$1" "$(inspect "$1" "$(label address)")"
  mkdir -p "$state/cut"
  touch "$state/cut/$1"
}
host_mend() {
  need_host "$1"
  mend "$1"
  wait_for_ssh "$1"
}
mend() {
  [ -e "$state/cut/$1" ] || return 0
  [ "$(host_state "$1")" != cut ] || plug_cable "$1" "$(inspect "$1" "$(label address)")"
  rm -f "$state/cut/$1"
}

host_down() {
  local names=() name
  [ $# -gt 0 ] || die "\`testbed down\` takes host names, or --all"
  daemon_runs || return 0
  if [ "$1" = --all ]; then
    mapfile -t names < <(docker_cli ps -a --filter label=anneal.flavour --format '{{.Names}}')
  else
    names=("$@")
  fi
  for name in "${names[@]}"; do
    valid_name "$name"
    if [ -e "$state/cut/$name" ]; then
      ip neigh del "$(inspect "$name" "$(label address)")" dev "$bridge" 2>/dev/null || true
      rm -f "$state/cut/$name"
    fi
    if [ "$(host_state "$name")" = none ]; then
      say "no host is called $name"
    else
      docker_cli rm --force "$name" >/dev/null || die "could not remove the host $name"
    fi
    docker_cli volume rm --force "$name-docker" "$name-containerd" >/dev/null || die "could not remove the volumes of $name"
  done
}
