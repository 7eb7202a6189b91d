#!/bin/sh
# Puts back what a step's files were: $1 the operation, $2 the name under which `host/shell/keep.sh` kept them.
op=$1 name=$2 kept=
umask 077
for folder in /var/lib/anneal "${XDG_STATE_HOME:-/nonexistent}/anneal" "${HOME:-/nonexistent}/.local/state/anneal"; do
    folder=$folder/backups/$op/$name
    [ -d "$folder" ] && [ -O "$folder" ] && kept=$folder && break
done
[ "$kept" ] || { echo 'nothing was kept, so no file was changed'; exit 0; }

sum() {
    x=$(sha256sum <"$1" || openssl dgst -sha256 -r <"$1" || shasum -a 256 <"$1")
    x=${x%% *}
    [ "$x" = "$2" ]
}
safe() { sync "$@" 2>/dev/null || sync; }

# put FILE MODE UID GID SHA256
put() {
    if [ -f "$to" ] && [ ! -h "$to" ] && [ "$(stat -c '%a %u %g' "$to")" = "$2 $3 $4" ] && sum "$to" "$5"; then
        echo "$to is as it was"
        return 0
    fi
    part=${to%/*}/.anneal-$op.$name.${base##*/}.restore
    rm -f "$part"
    (set -C; : >"$part") && cat "$base.was" >"$part" || return 1
    sum "$part" "$5" || { echo "what was kept of $to is damaged" >&2; rm -f "$part"; return 1; }
    chown "$3:$4" "$part" && chmod "$2" "$part" && safe "$part" && mv -f "$part" "$to" || { rm -f "$part"; return 1; }
    echo "$to is put back"
}

failed=0
for base in "$kept"/*.is; do
    [ -e "$base" ] || continue
    base=${base%.is}
    to='' was=''
    { IFS= read -r to; read -r was; } <"$base.is"
    # A record that is not whole belongs to a file that was not replaced.
    case $was in *' .') ;; *) continue ;; esac
    if [ -e "$base.back" ]; then
        echo "$to was put back before"
    elif [ -d "$to" ]; then
        echo "$to is a folder now" >&2
        failed=1
    elif [ "$was" = 'absent .' ]; then
        rm -f "$to" && : >"$base.back" && echo "$to is removed" || failed=1
    else
        put $was && : >"$base.back" || failed=1
    fi
    safe "${to%/*}/"
done
exit $failed
