# Kills a job. What has not begun is fenced off; what has ended of itself is left as it is recorded; of everything else
# nothing may be left, and what is left is named. $a_pid: a program without files, by its process.
exec 3>&2 2>/dev/null
umask 077
set -C
a_was=running
if [ "$a_pid" ]; then
    a_stat "$a_pid" || a_end killed gone -
    a_pg=$a_pgrp a_se=$a_sess
    [ "$a_local" ] && a_se=0
    a_kinsfolk "$a_ppid"
else
    if ! a_find "$@"; then
        a_folder "$@" || a_fail
        a_f=$a_d/$a_n
        a_claim 'void 0 0 0 0 .'
        [ $? = 2 ] && a_fail
    fi
    a_tries=0
    while ! a_record && [ $a_tries -lt 10 ]; do
        a_tries=$((a_tries + 1))
        a_nap
    done
    a_pg=none a_se=0 a_kin=' '
    if [ "$r_boot" = void ]; then
        # It has no files; a program that runs without any is still found by its marker.
        a_was=void
    elif a_rebooted; then
        a_was=gone
    else
        if a_ended; then
            [ "$a_how" = - ] && a_end killed ended -
            a_was=$a_how
        fi
        a_pg=$r_pgrp a_se=$r_sess
        a_alive && a_kinsfolk "$r_pid"
    fi
fi
a_slay
if [ -z "$a_pid" ] && [ "$a_was" = running ]; then
    a_tries=0
    while ! a_ended && a_alive && [ $a_tries -lt 15 ]; do
        a_tries=$((a_tries + 1))
        a_nap
    done
    if ! a_ended; then
        a_alive && kill -KILL "$r_pid"
        echo '137 killed .' >|"$a_f.exit"
    fi
    rm -f "$a_f.in" "$a_f.sh"
fi
# All could be seen by root, unless a container hides some; process 1 is nobody's job.
a_all=-
if [ "$(id -u)" = 0 ]; then
    a_all=all
    case $(grep -lF anneal /proc/[0-9]*/environ 2>&1 >/dev/null | grep -vF /proc/1/) in *denied*) a_all=- ;; esac
fi
for a_i in $a_pids; do
    a_x='?'
    read -r a_x <"/proc/$a_i/comm"
    printf '%s %s\n' "$a_i" "$a_x"
done
a_end killed "$a_was" "$a_all"
