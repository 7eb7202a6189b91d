# Finds a job again: how it ended, or that it never began and now never can. While it runs, what it writes is shown as
# hexadecimal lines (a binary byte cannot break them), with a dot each second, so that a dropped channel is noticed.
# With $a_follow it only shows, for a run that is attached elsewhere.

# a_show out|err FROM: what has come since; $a_at is the new position.
a_show() {
    a_at=$2
    [ -s "$a_f.$1" ] || return 0
    a_bytes "$a_f.$1"
    [ "$a_z" -lt "$a_at" ] && a_at=0
    [ "$a_z" -gt "$a_at" ] || return 0
    [ $((a_z - a_at)) -gt 65536 ] && a_at=$((a_z - 65536))
    echo "$1"
    od -An -v -tx1 -j "$a_at" -N $((a_z - a_at)) "$a_f.$1"
    a_at=$a_z
    a_trim "$a_f.$1"
}

exec 3>&2 2>/dev/null
umask 077
set -C
a_final() { echo final; [ "$a_follow" ] && a_end followed; }
while ! a_find "$@"; do
    [ "$a_follow" ] && a_end followed
    a_folder "$@" || { echo final; a_fail; }
    a_f=$a_d/$a_n
    a_claim 'void 0 0 0 0 .'
    case $? in
        0) ;;
        2) echo final; a_fail ;;
    esac
    case $a_old$a_d in yes* | /dev/shm/*) echo 'gone 0 0 0 0 .' >|"$a_f.pid" ;; esac
done
a_tries=0
while ! a_record; do
    a_tries=$((a_tries + 1))
    [ $a_tries -gt 10 ] && { a_final; a_end vanished; }
    a_nap
done
case $r_boot in
    void) a_final; a_end never ;;
    gone) a_final; a_end vanished ;;
esac
a_oat=0 a_eat=0 a_missed= a_pace=0
while ! a_ended; do
    if a_alive; then
        a_missed=
    elif a_rebooted; then
        a_final
        a_end rebooted
    elif [ "$a_missed" ]; then
        a_final
        a_end vanished
    else
        a_missed=yes
    fi
    a_show out "$a_oat"
    a_oat=$a_at
    a_show err "$a_eat"
    a_eat=$a_at
    echo . || exit 0
    if [ $a_pace -lt 5 ]; then
        a_nap
        a_pace=$((a_pace + 1))
    else
        sleep 1
    fi
done
a_show out "$a_oat"
a_show err "$a_eat"
a_final
a_deliver
