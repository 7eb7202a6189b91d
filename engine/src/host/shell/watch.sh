# Keeps the deadline and the disk while nobody is attached.
a_watch() {
    trap 'kill -KILL $! 2>/dev/null; exit 0' TERM
    while [ "$a_t" -gt 0 ]; do
        a_x=15
        [ "$a_t" -lt 15 ] && a_x=$a_t
        sleep $a_x &
        wait $!
        a_t=$((a_t - a_x))
        kill -0 $$ || [ -e "$a_f.pid" ] || exit 0
        a_trim "$a_f.out"
        a_trim "$a_f.err"
    done
    trap : TERM
    : >|"$a_f.late"
    a_pg=$r_pgrp a_se=$r_sess
    read -r a_me a_x </proc/self/stat
    a_kinsfolk $$
    a_kin="$a_kin$a_me "
    a_slay
}
