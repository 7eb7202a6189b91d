# Puts one file in its place: beside it under a temporary name, checked, synced, then renamed over it. A file that is
# already there as it should be is left alone. What an earlier attempt left behind is removed.
exec 3>&2 2>/dev/null
a_space() { df -Pk "$a_dir" | { read -r a_x; read -r a_x a_x a_x a_y a_x; echo "$a_y"; }; }
a_gone() { rm -f "$a_tmp"; a_end "$@"; }
# Writing failed: for want of room, where there is too little of it.
a_failed() {
    exec 6>&-
    rm -f "$a_tmp"
    a_k=$(a_space)
    case $a_k in
        '' | *[!0-9]*) ;;
        *) [ $((a_k * 1024)) -lt "$a_size" ] && a_end full "$a_k" ;;
    esac
    a_end error - "$a_e"
}
# All bytes have come; else nothing follows.
a_whole() {
    a_bytes "$a_tmp"
    [ "$a_z" = "$a_size" ] && return
    a_k=$(a_space)
    [ "$a_k" = 0 ] && a_gone full 0
    [ "$a_resume" ] && a_end error - 'the file was cut off on the way'
    a_gone error - 'the file was cut off on the way'
}
# What is there is what is wanted: as many bytes, the mode, whose it is, and then the content.
a_so() {
    [ -f "$a_to" ] && [ ! -h "$a_to" ] && [ "$(stat -c '%s %a' "$a_to")" = "$a_size $a_mode" ] || return 1
    if [ "$a_owner" ]; then
        case " $(stat -c '%u %U' "$a_to") " in *" $a_owner "*) ;; *) return 1 ;; esac
    else
        [ -O "$a_to" ] || return 1
    fi
    [ -z "$a_group" ] || case " $(stat -c '%g %G' "$a_to") " in *" $a_group "*) ;; *) return 1 ;; esac
    a_sum "$a_to" "$a_sha"
}
# What was read is what is there still.
a_still() {
    case $a_was in
        '') ;;
        absent) [ ! -e "$a_to" ] ;;
        *) [ -f "$a_to" ] && a_sum "$a_to" "$a_was" ;;
    esac
}
a_dir=${a_to%/*}
a_dir=${a_dir:-/}
[ -d "$a_to" ] && a_end error - "$a_to is a folder"
if [ "$a_strict" ]; then
    [ -h "$a_to" ] && a_end error - "$a_to is a symbolic link, which is neither followed nor replaced"
    [ -e "$a_to" ] && [ ! -f "$a_to" ] && a_end error - "$a_to is there and is no file"
fi
if [ "$a_same" ] && [ -e "$a_to" ]; then
    a_x=$(stat -c '%a %u %g' "$a_to") || a_end error - "stat is missing"
    a_mode=${a_x%% *} a_x=${a_x#* }
    a_owner=${a_x% *} a_group=${a_x#* }
fi
if a_so; then
    [ "$a_resume" ] && [ "$a_via" != look ] && rm -f "$a_dir/$a_part."*
    a_end same
fi
if [ "$a_via" = look ]; then
    a_y=$a_dir
    while [ ! -e "$a_y" ]; do a_y=${a_y%/*} a_y=${a_y:-/}; done
    [ -d "$a_y" ] && [ -w "$a_y" ] || a_end error - "no file can be made in $a_y"
    case $a_owner in *[!0-9]*) id -u "$a_owner" >&2 || a_end error - "there is no user $a_owner" ;; esac
    case $a_group in
        *[!0-9]*) getent group "$a_group" >&2 || grep -q "^$a_group:" /etc/group || a_end error - "there is no group $a_group" ;;
    esac
    a_end done
fi
umask 022
if [ ! -d "$a_dir" ]; then
    a_e=$(mkdir -p "$a_dir" 2>&1) || a_end error - "$a_e"
fi
umask 077
# A file of this script alone: whatever an earlier one that was given up still writes goes into another.
a_tmp=$a_dir/$a_part.$a_attempt.$$
a_have=0
a_old=
if [ "$a_resume" ]; then
    # What an earlier attempt brought is copied, in whole blocks, if it is the beginning of this file and there is room.
    for a_x in "$a_dir/$a_part."*; do
        [ -h "$a_x" ] || [ ! -f "$a_x" ] || [ ! -O "$a_x" ] || { a_old=$a_x; a_bytes "$a_x"; a_have=$((a_z / 1048576)); }
    done
    a_y=$((a_have * 1048576))
    [ $a_y -gt "$a_size" ] && a_have=0
    a_k=$(a_space)
    case $a_k in
        '' | *[!0-9]*) ;;
        *) [ $((a_k * 1024)) -lt $a_y ] && a_have=0 ;;
    esac
    if [ "$a_have" != 0 ]; then
        a_first "$a_old" $a_y
        printf 'have %s %s\n' $a_y "$a_x"
        read -r a_x
        [ "$a_x" = yes ] || a_have=0
    fi
    if [ "$a_have" != 0 ]; then
        { (set -C; : >"$a_tmp") && { cp --reflink=always "$a_old" "$a_tmp" ||
            dd bs=1048576 count="$a_have" if="$a_old" of="$a_tmp"; }; } || a_have=0
    fi
fi
# Each program that is started costs a small file more than its bytes do: none is that is not needed.
for a_x in "$a_dir/$a_part."*; do
    [ "$a_have" != 0 ] && [ "$a_x" = "$a_tmp" ] && continue
    if [ -e "$a_x" ] || [ -h "$a_x" ]; then rm -f "$a_x"; fi
done
if [ "$a_size" -gt 1048576 ]; then
    a_k=$(a_space)
    case $a_k in
        '' | *[!0-9]*) ;;
        *) [ $((a_k * 1024)) -lt $((a_size - a_have * 1048576)) ] && a_end full "$a_k" ;;
    esac
fi
if [ "$a_have" = 0 ]; then
    a_e=$( { set -C; : >"$a_tmp"; } 2>&1 ) || a_gone error - "$a_e"
else
    a_e=$(dd bs=1048576 seek="$a_have" of="$a_tmp" </dev/null 2>&1) || a_gone error - "$a_e"
fi
# Opened before anybody sends: where a later script has removed it, nothing comes into being again.
exec 6>>"$a_tmp"
printf 'go %s %s\n' $((a_have * 1048576)) "$a_tmp"
if [ "$a_via" = stdin ]; then
    a_e=$( { cat >&6; } 2>&1 ) || a_failed
else
    read -r a_x
fi
[ "$a_size" -gt 1048576 ] && a_whole
if ! a_sum "$a_tmp" "$a_sha"; then
    a_y=$a_x
    a_whole
    a_gone differs "$a_y"
fi
if [ "$a_owner$a_group" ]; then
    a_e=$(chown "$a_owner${a_group:+:$a_group}" "$a_tmp" 2>&1) || a_gone error - "$a_e"
fi
a_e=$(chmod "$a_mode" "$a_tmp" 2>&1) || a_gone error - "$a_e"
a_safe "$a_tmp"
a_moved="$a_to was changed by somebody else meanwhile"
a_still || a_gone error - "$a_moved"
if [ "$a_keep" ]; then
    a_keep "$@" || a_gone error - "what was at $a_to cannot be kept: $a_e"
    a_still || a_gone error - "$a_moved"
fi
a_e=$(mv -f "$a_tmp" "$a_to" 2>&1) || a_gone error - "$a_e"
a_safe "$a_dir"
a_end done
