#!/bin/sh
# Runs the registry as a container that comes back after every reboot. Its content lies in a folder of the host's, so replacing the
# container loses nothing. A container that is as wanted is left alone; any other of this name is replaced.
#
# usage: run-registry.sh PORT IMAGE DATA_DIR NAME          (as root; IMAGE is a tag or an image's id)
# exit:  0   the container runs as wanted
#        2   wrong usage
#        4   the port is taken by something else; nothing was changed
#        5   the container does not start, or does not stay up
#        100 Docker does not answer, or the image could not be pulled: worth a retry
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() {
  code=$1
  shift
  printf '%s\n' "$@" >&2
  exit "$code"
}

[ $# -eq 4 ] || fail 2 "usage: run-registry.sh PORT IMAGE DATA_DIR NAME"
port=$1 image=$2 data=$3 name=$4
case $port in '' | 0* | *[!0-9]* | ??????*) fail 2 "the port must be a number from 1 to 65535, not \`$port\`" ;; esac
[ "$port" -le 65535 ] || fail 2 "the port must be a number from 1 to 65535, not \`$port\`"
case $data in
  *:*) fail 2 "Docker cannot mount a folder with a colon in its path: \`$data\`" ;;
  /*) ;;
  *) fail 2 "the data folder must be an absolute path, not \`$data\`" ;;
esac

# What is and what should be, as one line each. The functions down to never_restarted stand in registry-is-as-wanted.sh too.
actual() {
  docker container inspect --format \
    '{{.State.Status}} {{.Image}} {{.HostConfig.RestartPolicy.Name}} {{json .HostConfig.PortBindings}} {{json .HostConfig.Binds}}' "$name"
}
wanted() { printf 'running %s always {"5000/tcp":[{"HostIp":"","HostPort":"%s"}]} ["%s:/var/lib/registry"]' "$image_id" "$port" "$data"; }

# A container that ends again and again is running at times. One that stays up runs two seconds later, since the same moment.
# (`docker wait` returns early when it ends; where it was restarting already, only the moment tells.)
state() { docker container inspect --format "$1" "$name" 2>/dev/null; }
stays_up() {
  since=$(state '{{.State.StartedAt}}') || return 1
  timeout 2 docker wait "$name" >/dev/null 2>&1 </dev/null && return 1
  [ "$(state '{{.State.Status}} {{.State.StartedAt}}')" = "running $since" ]
}
never_restarted() { [ "$(state '{{.RestartCount}}')" = 0 ]; }

image_id_of() { docker image inspect --format '{{.Id}}' "$image" 2>/dev/null; }

# Does anything listen on the port? (Field 2 is the local address, field 4 the state, 0A is LISTEN.)
port_taken() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$port") [0-9A-F]+:0000 0A"
}
port_holder() {
  docker ps --filter "publish=$port/tcp" --format 'the container {{.Names}}' 2>/dev/null | head -n 1
  if command -v ss >/dev/null; then ss -H -l -t -n -p "sport = :$port" 2>/dev/null | sed -n 's/.*users:((\(.*\)))/the process \1/p' | head -n 1; fi
}

start() { docker run --detach --name "$name" --restart=always --publish "$port:5000" --volume "$data:/var/lib/registry" "$image" </dev/null 2>&1 >/dev/null; }

timeout 30 docker version >/dev/null 2>&1 </dev/null || fail 100 "Docker does not answer on this machine. See: systemctl status docker"

if ! image_id=$(image_id_of); then
  case $image in sha256:*) fail 5 "there is no image $image on this machine: load it first" ;; esac
  say "pulling $image"
  complaint=$(docker pull --quiet "$image" </dev/null 2>&1 >/dev/null) ||
    fail 100 "The image $image could not be pulled. Without a way to its registry, give the image as an archive (\`docker save\`)." "$complaint"
  image_id=$(image_id_of) || fail 5 "$image was pulled, but Docker has no such image"
fi

if now=$(actual 2>/dev/null); then
  if [ "$now" = "$(wanted)" ]; then
    if never_restarted || stays_up; then exit 0; fi
  fi
  # Is the old container the one that listens there? Then it makes way.
  ours=$(docker ps --quiet --filter "name=^/$name\$" --filter "publish=$port/tcp")
else
  ours=''
fi
if [ -z "$ours" ] && port_taken; then
  fail 4 "Port $port of this machine is taken by $(port_holder | head -n 1 | grep . || echo something else). Choose another port, or free this one."
fi

# Stopped first, so that the registry ends what it is writing.
docker stop --time 20 "$name" >/dev/null 2>&1 </dev/null || :
docker rm --force "$name" >/dev/null 2>&1 </dev/null || :
mkdir -p "$data"
complaint=$(start) || case $complaint in
  *"already in use by container"*)
    # An earlier run was killed, but Docker had its request already.
    docker rm --force "$name" >/dev/null </dev/null
    complaint=$(start) || fail 5 "The registry does not start:" "$complaint"
    ;;
  *"port is already allocated"* | *"address already in use"*)
    docker rm --force "$name" >/dev/null 2>&1 </dev/null || :
    fail 4 "Port $port of this machine is taken by $(port_holder | head -n 1 | grep . || echo something else). Choose another port, or free this one."
    ;;
  *)
    docker rm --force "$name" >/dev/null 2>&1 </dev/null || :
    fail 5 "The registry does not start:" "$complaint"
    ;;
esac

# A registry that cannot read its configuration ends at once.
stays_up || fail 5 "The registry was started, but ended again. It said:" "$(docker logs --tail 15 "$name" 2>&1 || :)"
now=$(actual 2>&1) || :
[ "$now" = "$(wanted)" ] || fail 5 "The registry was started, but does not run as wanted." "is:     $now" "wanted: $(wanted)"
