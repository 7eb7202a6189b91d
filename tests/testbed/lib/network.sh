# shellcheck shell=bash
# The hosts' network: a bridge on this machine with a free private subnet. No route leads out of it.
#
# Invariant: a host's address is given to it by us and kept in its label, so it survives stop, start and reboot.

as_number() {
  local IFS=.
  # shellcheck disable=SC2086 # split on purpose
  set -- $1
  printf '%s' $((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
}

# Does 10.A.B.0/24 meet a network that the machine has a route to (the default route aside)?
subnet_taken() {
  local candidate net bits size
  candidate=$(as_number "$1")
  while read -r net; do
    case $net in
      */*) bits=${net#*/} net=${net%/*} ;;
      *) bits=32 ;;
    esac
    size=$((bits < 24 ? 32 - bits : 8))
    if [ $(($(as_number "$net") >> size)) -eq $((candidate >> size)) ]; then return 0; fi
  done < <(ip -4 route show table all | grep -oE '\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?')
  return 1
}

# The first three numbers of a free /24, such as 10.87.14.; where the search starts derives from the checkout.
free_subnet() {
  local start=$((16#$id % 55296)) try slot prefix
  for try in {0..499}; do
    slot=$(((start + try * 7) % 55296))
    prefix=10.$((32 + slot / 256)).$((slot % 256)).
    subnet_taken "${prefix}0" || { printf '%s' "$prefix"; return; }
  done
  die "no free subnet below 10.0.0.0/8" "look at \`ip route\`"
}

# 10.A.B. of the network that runs.
subnet_prefix() { cat "$state/subnet"; }

# Two checkouts must not choose the same subnet: the choice and the bridge are made under a lock of the machine.
ensure_network() {
  if [ -s "$state/subnet" ] && [ -d "/sys/class/net/$bridge" ]; then return 0; fi
  locked "$cache/network.lock" make_network
}
make_network() {
  local prefix
  docker_cli network inspect "$bridge" >/dev/null 2>&1 && [ -s "$state/subnet" ] && return 0
  docker_cli network rm "$bridge" >/dev/null 2>&1 || true
  prefix=$(free_subnet)
  docker_cli network create --internal --subnet "${prefix}0/24" --gateway "${prefix}1" \
    -o com.docker.network.bridge.name="$bridge" "$bridge" >/dev/null || die "could not make the bridge $bridge for ${prefix}0/24"
  printf '%s\n' "$prefix" >"$state/subnet"
  # Where another Docker set FORWARD to DROP, and bridged packets pass iptables, hosts could not reach each other.
  if iptables -S FORWARD 2>/dev/null | grep -q -- '-P FORWARD DROP'; then
    iptables -I FORWARD -i "$bridge" -o "$bridge" -m comment --comment "$bridge" -j ACCEPT
  fi
}

network_show() {
  setup
  local prefix
  prefix=$(subnet_prefix)
  printf '{"bridge":"%s","subnet":"%s0/24","gateway":"%s1"}\n' "$bridge" "$prefix" "$prefix"
}

network_forget() {
  local rule
  while rule=$(iptables -S FORWARD 2>/dev/null | grep -m 1 -- "--comment $bridge "); do
    # shellcheck disable=SC2086 # the words of a rule
    iptables -D ${rule#-A } || break
  done
  ip link delete "$bridge" 2>/dev/null || true
}

# The machine's end of a host's network cable.
cable_of() {
  local index entry
  index=$(docker_cli exec "$1" cat /sys/class/net/eth0/iflink) || return 1
  for entry in /sys/class/net/*/ifindex; do
    if [ "$(cat "$entry")" = "$index" ]; then
      entry=${entry%/ifindex}
      printf '%s' "${entry##*/}"
      return
    fi
  done
  return 1
}

# A partition: the cable is taken out of the bridge, so packets vanish in both directions while both ends keep their link,
# address and open connections. The fixed neighbour entry makes a new connection time out, as it does beyond a router,
# instead of failing after three seconds with "no route to host".
pull_cable() {
  local name=$1 address=$2 cable
  cable=$(cable_of "$name") || die "could not find the network cable of $name"
  ip neigh replace "$address" lladdr 02:00:00:00:00:01 nud permanent dev "$bridge"
  ip link set "$cable" nomaster
}
plug_cable() {
  local name=$1 address=$2 cable
  cable=$(cable_of "$name") || die "could not find the network cable of $name"
  ip link set "$cable" master "$bridge"
  ip neigh del "$address" dev "$bridge" 2>/dev/null || true
}
