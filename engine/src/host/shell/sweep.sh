# Removes what an operation that has ended left in the job folders, the backups that it kept, and what transfers of it that
# were given up left beside their targets.
exec 2>/dev/null
eval "$a_files"
for a_p in "$@"; do
    [ -d "$a_p/$a_op" ] && [ -O "$a_p/$a_op" ] && rm -rf "$a_p/$a_op"
    case $a_p in */jobs) ;; *) continue ;; esac
    a_d=${a_p%jobs}backups/$a_op
    [ -d "$a_d" ] && [ -O "$a_d" ] && rm -rf "$a_d"
done
# What an engine that is no more left: folders in which for long nothing was begun, and nothing lives.
for a_p in "$@"; do
    [ -d "$a_p" ] && [ ! -h "$a_p" ] && [ -O "$a_p" ] || continue
    for a_d in $(cd "$a_p" && find . -mindepth 1 -maxdepth 1 -type d -mtime +"$a_stale" | head -n "$a_most"); do
        case $a_d in ./????????-????-????-????-????????????) a_d=$a_p/$a_d ;; *) continue ;; esac
        [ -O "$a_d" ] || continue
        a_y=
        for a_f in "$a_d"/*.pid; do
            a_f=${a_f%.pid}
            [ -e "$a_f.pid" ] && a_record && a_alive && a_y=lives
        done
        [ "$a_y" ] || rm -rf "$a_d"
    done
done
a_end done
