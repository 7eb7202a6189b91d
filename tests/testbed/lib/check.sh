# shellcheck shell=bash
# How the shell tests of this folder and of workflows/ say what they check: sentences, counted, none of which stops the others.

passed=0 failed=0

# check "what should be so" COMMAND...
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n%s\n' "$what" "$(printf '%s' "$output" | tail -n 15 | sed 's/^/        | /')"
  fi
}
not() { ! "$@"; }
equal() { [ "$1" = "$2" ] || { printf 'left:  %s\nright: %s\n' "$1" "$2"; return 1; }; }
differ() { [ "$1" != "$2" ] || { printf 'both: %s\n' "$1"; return 1; }; }
says() {
  local wanted=$1 output
  shift
  output=$("$@" 2>&1)
  printf '%s\n' "$output"
  [[ $output =~ $wanted ]]
}
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.1; done
}

# The last line of a test, and its exit code.
verdict() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

ssh_options=(-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5)
with_key() { local login=$1 key=$2; shift 2; ssh "${ssh_options[@]}" -o BatchMode=yes -i "$key" "$login" "$@"; }
