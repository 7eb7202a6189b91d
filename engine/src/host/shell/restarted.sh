# Whether the machine was started anew since an attempt began here, and if not, what became of the attempt. Takes nothing.
exec 3>&2 2>/dev/null
a_find "$@" || a_end never
a_record || a_end vanished
case $r_boot in
    void) a_end never ;;
    gone) a_end vanished ;;
esac
a_rebooted && a_end rebooted
a_ended && a_end exit "$a_rc" "$a_how" -
a_alive && a_end followed
a_end vanished
