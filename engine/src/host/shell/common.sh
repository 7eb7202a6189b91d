# What the scripts share: where a job's files lie, which processes are meant, what the records say. Only builtins on
# the paths that every job takes. Names start with a_ so that nothing of a job's own is shadowed. Standard error is
# /dev/null in all of them: what builtins complain about is expected.

a_end() { printf '\nanneal-end %s\n' "$*"; exit 0; }
a_fail() { a_end error "${a_d:--}" "$a_e"; }

# a_folder CANDIDATE...: picks the operation's folder, $a_d; makes it only where it is missing. $a_e says why not.
a_folder() {
    a_e='no folder for job files can be made'
    for a_p in "$@"; do
        case $a_p in /dev/shm/*) [ -h "$a_p" ] && continue ;; esac
        a_d=$a_p/$a_op
        [ -d "$a_d" ] && [ -O "$a_d" ] && [ -O "$a_p" ] && return 0
        a_e=$(umask 077; mkdir -p "$a_d" 2>&1) && [ -O "$a_d" ] && [ -O "$a_p" ] && return 0
        case $a_e in *"o space left"*|*uota*) return 1 ;; esac
    done
    return 1
}

# Why nothing can be written: builtins do not tell, cat does.
a_why() {
    a_e=$( { echo | cat >|"$a_f.why"; } 2>&1 ) && a_e="cannot write in $a_d"
    rm -f "$a_f.why"
    a_e="$a_e (free KB: $(df -Pk "$a_d" 2>/dev/null | { read -r a_x; read -r a_x a_x a_x a_y a_x; echo "$a_y"; }))"
}

# a_stat PID: $a_state, $a_ppid, $a_pgrp, $a_sess, $a_start of a process (proc(5): fields 3, 4, 5, 6 and 22).
a_stat() {
    a_s=
    read -r a_s <"/proc/$1/stat" || return 1
    case $a_s in *") "*) ;; *) return 1 ;; esac
    set -- ${a_s##*) }
    a_state=$1 a_ppid=$2 a_pgrp=$3 a_sess=$4 a_start=${20}
}

# This start of the kernel.
a_boot() { read -r a_b </proc/sys/kernel/random/boot_id; }

# a_claim RECORD: the attempt is ours, or somebody has it already (1), or it cannot be written (2).
a_claim() {
    a_o=
    { a_o=1; echo "$1"; } >"$a_f.pid" && return 0
    [ "$a_o" ] || { [ -e "$a_f.pid" ] && return 1; }
    a_why
    [ "$a_o" ] && rm -f "$a_f.pid"
    return 2
}

# a_pour FILE POSITION: what a job wrote, up to the limit. Most write little: then no program is started, for builtins can
# read it, as long as nothing gets lost on the way. They drop NUL bytes, so the length is compared with how far the job's
# descriptor has come; where it differs, dd brings the file as it is.
a_pour() {
    [ -s "$1" ] || return 0
    if [ "${2:-0}" -gt 0 ] && [ "$2" -le 512 ]; then
        a_y= a_x=
        while IFS= read -r a_x; do
            a_y=$a_y$a_x$a_N
        done <"$1"
        a_y=$a_y$a_x
        [ ${#a_y} = "$2" ] && { printf %s "$a_y"; return 0; }
    fi
    dd bs=65536 count=8 <"$1"
}

# The output, and the end. The rest of what is larger than the limit is asked for on its own.
a_deliver() {
    LC_ALL=C
    a_pour "$a_f.out" "$a_opos"
    a_pour "$a_f.err" "$a_epos" >&3
    a_c=-
    [ -e "$a_f.out.cut" ] && a_c=o
    [ -e "$a_f.err.cut" ] && a_c=${a_c}e
    a_end exit "$a_rc" "$a_how" "$a_c"
}

# a_bytes FILE: how many it has, $a_z; 0 where it is missing.
a_bytes() {
    a_z=$(wc -c <"$1")
    a_z=$((${a_z:-0}))
}
