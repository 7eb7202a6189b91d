# a_trim FILE: a job that writes without end must not fill the disk. Over the limit the first and the last 256 KiB are
# put aside and the file is emptied; the job appends, so it goes on at the new end. One at a time: .trim is the lock.
a_trim() {
    [ -s "$1" ] || return 0
    a_bytes "$1"
    [ "$a_z" -gt 8388608 ] || return 0
    { : >"$1.trim"; } 2>/dev/null || return 0
    a_y=0
    [ -e "$1.cut" ] && read -r a_y a_x <"$1.cut"
    if [ -e "$1.head" ]; then
        a_y=$((a_y + 262144))
    else
        dd bs=65536 count=4 <"$1" >|"$1.head"
        a_y=$((a_y - 262144))
    fi
    dd bs=65536 skip=$((a_z / 65536 - 4)) count=4 <"$1" >|"$1.tail"
    echo "$((a_y + a_z - 262144)) ." >|"$1.cut"
    : >|"$1"
    rm -f "$1.trim"
}
