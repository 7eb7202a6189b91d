# a_first FILE BYTES: the sum of so many of its first bytes, $a_x.
a_first() {
    a_x=$(head -c "$2" <"$1" | { sha256sum || openssl dgst -sha256 -r || shasum -a 256; })
    a_x=${a_x%% *}
    [ "$a_x" ] || a_end error - 'sha256sum, openssl and shasum are all missing'
}
