# Brings one output stream that is larger than what comes with the end: its first and its last 256 KiB.
exec 3>&2 2>/dev/null
a_find "$@" || a_end error - 'the output is no longer there'
a_f=$a_f.$a_stream
if [ -e "$a_f.cut" ]; then
    read -r a_y a_x <"$a_f.cut"
    a_bytes "$a_f.head"
    a_h=$a_z
    a_bytes "$a_f.tail"
    a_x=$a_z
    a_bytes "$a_f"
    a_r=$((a_x + a_z))
    a_t=$a_r
    [ $a_t -gt 262144 ] && a_t=262144
    dd bs=65536 <"$a_f.head"
    { cat "$a_f.tail"; head -c "$a_z" "$a_f"; } | tail -c $a_t
    a_end fetched $a_h $a_t $((a_y + a_r - a_t))
fi
a_bytes "$a_f"
a_h=$a_z a_t=0
if [ $a_z -gt 524288 ]; then
    a_h=262144 a_t=262144
fi
head -c $a_h "$a_f"
[ $a_t -gt 0 ] && head -c $a_z "$a_f" | tail -c $a_t
a_end fetched $a_h $a_t $((a_z - a_h - a_t))
