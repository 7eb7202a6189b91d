# How long a job has written nothing: the seconds since the newer of its two output files was changed, `-` where `date` does
# not tell, and how many bytes there are.
exec 3>&2 2>/dev/null
a_find "$@" || a_end quiet - 0
a_now=$(date +%s)
a_q=-
a_sum=0
for a_x in out err; do
    a_y=$(date -r "$a_f.$a_x" +%s) && a_y=$((a_now - a_y)) && {
        [ "$a_q" = - ] || [ "$a_y" -lt "$a_q" ]
    } && a_q=$a_y
    a_bytes "$a_f.$a_x"
    a_sum=$((a_sum + a_z))
done
a_end quiet "$a_q" "$a_sum"
