# a_keep FOLDER...: keeps the file that is at $a_to, or that there is none, in the first of the backup folders that can be
# made. A record: the path on its first line; `file MODE UID GID SHA256 .` or `absent .` on its second. Without the final
# dot it does not exist. One that is there is the older truth and stays, unless its file was put back since.
a_keep() {
    a_d= a_e='no folder for backups can be made'
    for a_p in "$@"; do
        case $a_p in */jobs) ;; *) continue ;; esac
        a_d=${a_p%jobs}backups/$a_op/$a_keep
        a_e=$(umask 077; mkdir -p "$a_d" 2>&1) && [ -O "$a_d" ] && break
        a_d=
    done
    [ "$a_d" ] || return 1
    a_f=$a_d/$a_key
    a_y= a_k=
    { read -r a_y; read -r a_k; } <"$a_f.is"
    if [ -e "$a_f.back" ]; then
        rm -f "$a_f.is" && rm -f "$a_f.was" && rm -f "$a_f.back"
        a_k=
    fi
    case $a_k in *' .') return 0 ;; esac
    a_k='absent .'
    if [ -e "$a_to" ]; then
        a_e=$( { cat "$a_to" >"$a_f.was"; } 2>&1 ) || return 1
        a_sum "$a_to" - || a_k="file $(stat -c '%a %u %g' "$a_to") $a_x ."
        a_sum "$a_f.was" "$a_x" || { a_e="$a_to changes while it is kept"; return 1; }
        a_safe "$a_f.was"
    fi
    a_e=$( { printf '%s\n%s\n' "$a_to" "$a_k" >"$a_f.is"; } 2>&1 ) || return 1
    a_safe "$a_f.is" "$a_d"
}
