# Gives a file away: first how large it is, its mode and its sum; then, line by line as it is asked, the sum of its first
# bytes, or the next block of it. It is always the same file, also when another takes its name, and what is appended to it
# meanwhile is not part of it.
exec 3>&2 2>/dev/null
[ -d "$a_from" ] && a_end error - "$a_from is a folder"
[ -e "$a_from" ] || a_end error - "there is no file $a_from that this user may see"
[ -f "$a_from" ] || a_end error - "$a_from is no regular file"
[ -r "$a_from" ] || a_end error - "this user may not read $a_from"
exec 4<"$a_from"
a_s=/proc/$$/fd/4
a_bytes "$a_s"
a_size=$a_z
a_m=$(stat -L -c %a "$a_s") || a_end error - 'stat is missing'
a_first "$a_s" "$a_size"
printf 'file %s %s %s\n' "$a_size" "$a_m" "$a_x"
a_dd=
dd bs=1 count=0 iflag=fullblock </dev/null && a_dd=iflag=fullblock
a_skip=0
while read -r a_q a_v; do
    case $a_q in
        sum)
            a_first "$a_s" "$a_v"
            printf 'sum %s\n' "$a_x"
            ;;
        from) a_skip=$a_v ;;
        *)
            dd bs=1048576 skip="$a_skip" count=1 $a_dd <&4
            a_skip=0
            ;;
    esac
done
a_end done
