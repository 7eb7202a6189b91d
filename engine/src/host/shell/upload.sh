# Puts one file in its place: beside it under a temporary name, checked, synced, then renamed over it. A file that is
# already there as it should be is left alone. What an earlier attempt left behind is removed.
exec 3>&2 2>/dev/null
a_sum() {
    a_x=$(sha256sum <"$1" || openssl dgst -sha256 -r <"$1" || shasum -a 256 <"$1")
    a_x=${a_x%% *}
    [ "$a_x" ] || a_end error - 'sha256sum, openssl and shasum are all missing'
    [ "$a_x" = "$a_sha" ]
}
a_space() { df -Pk "$a_dir" | { read -r a_x; read -r a_x a_x a_x a_y a_x; echo "$a_y"; }; }
a_gone() { rm -f "$a_tmp"; a_end "$@"; }
a_dir=${a_to%/*}
a_dir=${a_dir:-/}
[ -d "$a_to" ] && a_end error - "$a_to is a folder"
if [ -f "$a_to" ] && [ ! -h "$a_to" ] && [ -O "$a_to" ] && [ "$(stat -c '%s %a' "$a_to")" = "$a_size $a_mode" ]; then
    a_sum "$a_to" && a_end same
fi
umask 022
if [ ! -d "$a_dir" ]; then
    a_e=$(mkdir -p "$a_dir" 2>&1) || a_end error - "$a_e"
fi
umask 077
rm -f "$a_dir/$a_part."*
a_tmp=$a_dir/$a_part.$a_attempt
a_k=$(a_space)
case $a_k in
''|*[!0-9]*) ;;
    *) [ $((a_k * 1024)) -lt "$a_size" ] && a_end full "$a_k" ;;
esac
a_e=$( { : >"$a_tmp"; } 2>&1 ) || a_gone error - "$a_e"
printf 'go %s\n' "$a_tmp"
if [ "$a_via" = stdin ]; then
    a_e=$( { cat >"$a_tmp"; } 2>&1 ) || a_gone error - "$a_e"
else
    read -r a_x
fi
a_bytes "$a_tmp"
if [ "$a_z" != "$a_size" ]; then
    a_k=$(a_space)
    [ "$a_k" = 0 ] && a_gone full 0
    a_gone error - 'the file was cut off on the way'
fi
a_e=$(sync "$a_tmp" 2>&1) || sync
a_sum "$a_tmp" || a_gone differs "$a_x"
a_e=$( { chmod "$a_mode" "$a_tmp" && mv -f "$a_tmp" "$a_to"; } 2>&1 ) || a_gone error - "$a_e"
sync "$a_dir"
a_end done
