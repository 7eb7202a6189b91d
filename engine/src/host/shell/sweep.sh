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
a_end done
