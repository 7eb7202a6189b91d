# a_sum FILE SHA256: whether that is its sum; $a_x is what it is.
a_sum() {
    a_x=$(sha256sum <"$1") || a_x=$(openssl dgst -sha256 -r <"$1") || a_x=$(shasum -a 256 <"$1")
    a_x=${a_x%% *}
    [ "$a_x" ] || a_end error - 'sha256sum, openssl and shasum are all missing'
    [ "$a_x" = "$2" ]
}
# a_safe FILE...: they are on the disk before anything that relies on them.
a_safe() { sync "$@" 2>&1 || sync; }
