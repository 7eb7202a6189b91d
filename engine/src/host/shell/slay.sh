# Ends a job and makes sure of it: TERM, time to go, KILL, and a look at what is still there. A process belongs to the
# job by its group, its session (0: it has none of its own) or the marker in its environment; a grandchild that left
# group and session still carries the marker.

# $a_kin: the supervisor and what it runs under (sudo, the login shell): they record the end, so they are let live.
a_kinsfolk() {
    a_kin=' '
    a_i=$1
    while [ "$a_i" -gt 1 ] && a_stat "$a_i"; do
        [ "$a_pgrp" = "$a_pg" ] || [ "$a_sess" = "$a_se" ] || break
        a_kin="$a_kin$a_i "
        a_i=$a_ppid
    done
}

# Leaves in $a_pids what lives of the job. grep reads /proc, for a shell reads it byte by byte; it is looked at for the
# state (no zombies), group and session of proc(5).
a_scan() {
    a_pids=
    a_re="[0-9]+ $a_pg [0-9]+ "
    [ "$a_se" = 0 ] || a_re="([0-9]+ $a_pg [0-9]+|[0-9]+ [0-9]+ $a_se) "
    for a_x in $(grep -lE "\) [RSDTtWKPI] $a_re" /proc/[0-9]*/stat); do
        a_i=${a_x#/proc/}
        a_i=${a_i%/stat}
        case $a_kin in *" $a_i "*) continue ;; esac
        a_pids="$a_pids $a_i"
    done
    for a_x in $(grep -lF "ANNEAL_JOB=$a_mark" /proc/[0-9]*/environ); do
        a_i=${a_x#/proc/}
        a_i=${a_i%/environ}
        case "$a_kin$a_pids " in *" $a_i "*) continue ;; esac
        tr '\0' '\n' <"$a_x" | grep -qxF "ANNEAL_JOB=$a_mark" && a_pids="$a_pids $a_i"
    done
}

a_slay() {
    a_scan
    [ "$a_pids" ] && kill -TERM $a_pids 2>/dev/null
    a_g=0
    while [ "$a_pids" ] && [ $a_g -lt 25 ]; do
        a_nap
        a_scan
        a_g=$((a_g + 1))
    done
    a_g=0
    while [ "$a_pids" ] && [ $a_g -lt 20 ]; do
        kill -KILL $a_pids 2>/dev/null
        a_nap
        a_scan
        a_g=$((a_g + 1))
    done
}
