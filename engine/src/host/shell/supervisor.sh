# Runs one job apart from its channel. The claim comes last before the job: whatever fails earlier leaves nothing begun.

exec 3>&2 2>/dev/null
{ read -r a_x; read -r a_x a_u; } </proc/$$/status
case $a_u in 0[0-7]*) ;; *) a_u=022 ;; esac
umask 077
set -C
a_folder "$@" || a_fail
a_f=$a_d/$a_n
[ -e "$a_f.pid" ] && a_end fenced
if [ "$a_bulk" ]; then
    a_e=$( { cat >"$a_f.$a_bulk"; } 2>&1 ) || a_fail
    a_bytes "$a_f.$a_bulk"
    [ "$a_z" = "$a_size" ] || { rm -f "$a_f.$a_bulk"; a_end error - 'input was cut off'; }
fi
eval "$a_files" || { a_why; [ -e "$a_f.pid" ] || rm -f "$a_f.in" "$a_f.sh"; a_fail; }
{ : >>"$a_f.out" && : >>"$a_f.err"; } || { a_why; a_fail; }
exec 4>>"$a_f.out" 5>>"$a_f.err"
a_boot
a_stat $$
r_pgrp=$a_pgrp r_sess=$a_sess
[ "$a_local" ] && r_sess=0
# The watchdog is forked while TERM still has its default action: a trap of ours would swallow one that comes before the
# watchdog has set its own, and it would outlive a short job. Its descriptors are those of a subshell, for a function's
# are kept aside and would hold the channel open.
a_k=
if [ "$a_dog" ]; then
    ( a_watch ) </dev/null >/dev/null 3>&- 4>&- 5>&- &
    a_k=$!
fi
trap : HUP INT TERM PIPE
a_claim "$a_b $$ $a_start $r_pgrp $r_sess ."
case $? in
    0) ;;
    1) [ "$a_k" ] && kill "$a_k"; a_end fenced ;;
    2) [ "$a_k" ] && kill "$a_k"; a_fail ;;
esac
a_i=/dev/null
[ -e "$a_f.in" ] && a_i=$a_f.in
(
    trap - HUP INT TERM PIPE
    set +C
    umask "$a_u"
    [ "$a_i" = /dev/null ] || rm -f "$a_i"
    eval "$a_job"
) <"$a_i" >&4 2>&5 3>&- 4>&- 5>&-
a_rc=$?
a_job=
a_how=-
[ -e "$a_f.late" ] && a_how=late
[ "$a_k" ] && kill "$a_k"
# The end goes behind the claim: a file of its own costs more (on ext4 20 to 500 us), and finds no room on a full disk.
{ echo "exit $a_rc $a_how ." >>"$a_f.pid"; } || echo "$a_rc $a_how ." >"$a_f.exit"
[ -e "$a_f.sh" ] && rm -f "$a_f.sh"
read -r a_x a_opos </proc/$$/fdinfo/4
read -r a_x a_epos </proc/$$/fdinfo/5
a_deliver
