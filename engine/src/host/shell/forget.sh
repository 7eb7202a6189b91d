# Removes what a job wrote; that it ran, and how it ended, stays known.
exec 3>&2 2>/dev/null
a_find "$@" && rm -f "$a_f.out" "$a_f.err" "$a_f.out."* "$a_f.err."*
a_end done
