# shellcheck shell=bash
# What all parts share: where things lie, how to speak, how to lock, how to know one's own processes.
#
# Invariants:
#   - A lock is held by a file descriptor (9) of a subshell: it ends with its holder, however that dies.
#   - A long-lived process never inherits a lock (see spawn).
#   - A process is ours only if its start time is the one that was recorded: a reused pid is never killed.

checkout=$(cd "$here/../.." && pwd)
id=$(printf '%s' "$checkout" | sha256sum | cut -c1-8)
state=${ANNEAL_TESTBED_STATE:-/var/lib/anneal-testbed}/$id
cache=${ANNEAL_TESTBED_CACHE:-/var/cache/anneal-testbed}
bridge=anneal$id
cgroup=anneal-$id
readonly checkout id state cache bridge cgroup

say() { printf 'testbed: %s\n' "$*" >&2; }

# die WHAT [WHAT_TO_DO]
die() {
  printf 'testbed: error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  help: %s\n' "$2" >&2
  exit 1
}

# locked FILE COMMAND...: run it while nobody else holds FILE. The command runs in a subshell.
locked() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  (
    flock -w 900 9 || die "waited 15 minutes for the lock $file" "see who holds it: fuser -v $file"
    "$@"
  ) 9>"$file"
}

# The kernel's start time of a process (field 22 of its stat), empty when there is none or it has ended but for its exit code.
start_time() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  # shellcheck disable=SC2086 # split on purpose
  set -- ${stat##*) }
  [ "$1" = Z ] || printf '%s' "${20}"
}

# spawn NAME COMMAND...: start a daemon in a session of its own, with its log and a record of who it is.
spawn() {
  local name=$1 pid fd
  shift
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ]; then eval "exec $fd>&-"; fi
    done
    exec setsid "$@" </dev/null >>"$state/$name.log" 2>&1
  ) &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$state/$name.pid.new"
  mv "$state/$name.pid.new" "$state/$name.pid"
}

# The pid of a daemon that spawn started and that still runs, empty when there is none.
running_pid() {
  local pid started
  { read -r pid started <"$state/$1.pid"; } 2>/dev/null || return 0
  if [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]; then printf '%s' "$pid"; fi
}

# end_process NAME SECONDS: TERM, and KILL for what has not ended by then.
end_process() {
  local pid
  pid=$(running_pid "$1")
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait_until "$2" not_running "$1" || kill -9 "$pid" 2>/dev/null || true
    wait_until 5 not_running "$1" || die "$1 (process $pid) does not end" "look at it: ps -p $pid -o pid,stat,cmd"
  fi
  rm -f "$state/$1.pid"
}
not_running() { [ -z "$(running_pid "$1")" ]; }

# wait_until SECONDS COMMAND...: poll until it succeeds; fails when the time is over.
wait_until() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@"; do
    [ "${EPOCHREALTIME/./}" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}
