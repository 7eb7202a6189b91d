# Who we are here, what this is, and whether sudo asks. POSIX sh; nothing is changed.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
s_id=$(id -u) || exit 1
printf 'user=%s\n' "$(id -un)"
s_os=
[ -r /etc/os-release ] && s_os=$(. /etc/os-release && printf '%s' "$PRETTY_NAME")
printf 'os=%s\n' "${s_os:-$(uname -s)}"
if [ "$s_id" = 0 ]; then
    echo sudo=root
elif ! command -v sudo >/dev/null 2>&1; then
    echo sudo=none
elif sudo -n -H -u "$ANNEAL_AS_USER" -- sh -c : >/dev/null 2>&1 </dev/null; then
    echo sudo=free
else
    echo sudo=asks
fi
