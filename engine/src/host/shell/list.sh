# Names the attempts that an operation has begun here, in all folders where one is looked for; nothing is changed.
exec 2>/dev/null
for a_p in "$@"; do
    [ -d "$a_p/$a_op" ] && [ -O "$a_p/$a_op" ] && [ -O "$a_p" ] || continue
    echo folder
    for a_x in "$a_p/$a_op"/*.pid; do
        [ -e "$a_x" ] && echo "${a_x##*/}"
    done
done
a_end done
