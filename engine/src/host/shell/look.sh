# What the scripts share that ask after a job which another one began.

# a_find CANDIDATE...: the folder that has this attempt's claim.
a_find() {
    for a_p in "$@"; do
        a_d=$a_p/$a_op a_f=$a_p/$a_op/$a_n
        [ -e "$a_f.pid" ] && [ -O "$a_p" ] && return 0
    done
    return 1
}

# The claim as written: $r_boot $r_pid $r_start $r_pgrp $r_sess. False while it is not complete.
a_record() {
    r_end=
    read -r r_boot r_pid r_start r_pgrp r_sess r_end <"$a_f.pid"
    [ "$r_end" = . ]
}

a_alive() { a_stat "$r_pid" && [ "$a_start" = "$r_start" ] && [ "$a_state" != Z ]; }

# Whether the machine was started anew since: another boot id, or, where a container keeps the kernel, a process 1 that
# is younger than the supervisor.
a_rebooted() {
    a_boot
    [ "$a_b" = "$r_boot" ] || return 0
    a_stat 1 && [ "$a_start" -gt "$r_start" ]
}

# Whether the job's end is on record: $a_rc, and $a_how: -, late (its deadline) or killed.
a_ended() {
    a_rc= a_how= a_x=
    [ -e "$a_f.exit" ] && read -r a_rc a_how a_x <"$a_f.exit"
    [ "$a_x" = . ] && return 0
    a_y=
    { read -r a_x; read -r a_x a_rc a_how a_y; } <"$a_f.pid"
    [ "$a_x$a_y" = exit. ]
}
