# Removes what an operation that has ended left in the job folders.
exec 2>/dev/null
for a_p in "$@"; do
    [ -d "$a_p/$a_op" ] && [ -O "$a_p/$a_op" ] && rm -rf "$a_p/$a_op"
done
a_end done
