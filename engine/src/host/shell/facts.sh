# What a host says of itself: a line for each fact, name=value; of a list, one for each element. POSIX sh; no root needed. What
# comes from programs, which may be anybody's and may hang, is asked for beside and all at once: it has five seconds, a bounded file
# to write into, and holds no pipe that anybody waits for.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -f
umask 077

f_t=
for f_p in /dev/shm "${TMPDIR:-/tmp}" /tmp "$HOME"; do
    mkdir "$f_p/anneal-facts.$$" 2>/dev/null && { f_t=$f_p/anneal-facts.$$; break; }
done
[ "$f_t" ] || { echo "no folder could be made in /dev/shm, in the folder for temporary files, or at home" >&2; exit 1; }
trap 'rm -rf "$f_t"' EXIT
trap 'exit 1' HUP INT TERM

f_pids=
# f_beside NAME PROGRAM ARGUMENT...
f_beside() {
    f_n=$1
    shift
    command -v "$1" >/dev/null 2>&1 || return 0
    (ulimit -f 64; exec "$@") >"$f_t/$f_n" 2>/dev/null </dev/null &
    f_pids="$f_pids $!"
}
f_beside root df -Pk /
f_beside var df -Pk /var
f_beside fqdn hostname -f
f_beside virtual systemd-detect-virt
f_beside addresses ip -o addr show scope global
# Asking for a route sends nothing.
f_beside route4 ip -o route get 1.1.1.1
f_beside route6 ip -6 -o route get 2606:4700:4700::1111
f_beside docker docker --version
f_beside containerd containerd --version
f_beside podman podman --version
f_beside runc runc --version
f_beside kubelet kubelet --version
f_beside python python3 --version
(
    trap 'kill "$f_s"; exit' TERM
    sleep 5 &
    f_s=$!
    wait "$f_s"
    for f_p in $f_pids; do
        f_v=
        read -r f_v <"/proc/$f_p/task/$f_p/children"
        kill -9 "$f_p" $f_v
    done
) >/dev/null 2>&1 </dev/null &
f_w=$!

f_say() { [ "$2" ] && printf '%s=%s\n' "$1" "$2"; }
# f_line FILE: its first line, f_v.
f_line() {
    f_v=
    [ -r "$1" ] && [ -f "$1" ] && { read -r f_v <"$1"; } 2>/dev/null
    return 0
}

f_release() {
    while IFS= read -r f_l || [ "$f_l" ]; do
        f_v=${f_l#*=}
        case $f_v in
            \"*\") f_v=${f_v#\"} f_v=${f_v%\"} ;;
            \'*\') f_v=${f_v#\'} f_v=${f_v%\'} ;;
        esac
        case $f_l in
            ID=*) f_os=$f_v ;;
            ID_LIKE=*) f_like=$f_v ;;
            VERSION_ID=*) f_version=$f_v ;;
            VERSION_CODENAME=*) f_codename=$f_v ;;
        esac
        f_l=
    done
}
# What os-release(5) says that a missing ID means.
f_os=linux f_like= f_version= f_codename=
for f_p in /etc/os-release /usr/lib/os-release; do
    [ -r "$f_p" ] && { f_release <"$f_p"; break; }
done
f_say os "$f_os"
for f_x in $f_like; do f_say os_like "$f_x"; done
f_say version "$f_version"
f_say codename "$f_codename"

f_line /proc/sys/kernel/osrelease
f_say kernel "${f_v:-$(uname -r)}"
f_machine=$(uname -m)
f_say machine "$f_machine"
case $f_machine in
    x86_64) f_machine=amd64 ;;
    aarch64) f_machine=arm64 ;;
    armv* | armhf) f_machine=arm ;;
    i?86) f_machine=386 ;;
esac
f_say arch "$f_machine"
if [ -d /run/systemd/system ]; then
    f_say init systemd
elif [ -d /run/openrc ]; then
    f_say init openrc
else
    f_say init other
fi
f_line /proc/sys/kernel/hostname
f_hostname=${f_v:-$(uname -n)}
f_say hostname "$f_hostname"
f_line /proc/sys/kernel/random/boot_id
f_say boot_id "$f_v"
f_line /proc/uptime
f_v=${f_v%%.*}
f_say uptime "${f_v:+${f_v}s}"
f_v=$(nproc 2>/dev/null) || f_v=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || {
    f_v=0
    while read -r f_x f_l; do
        [ "$f_x" = processor ] && f_v=$((f_v + 1))
    done </proc/cpuinfo
}
f_say cpus "$f_v"
while read -r f_x f_v f_l; do
    [ "$f_x" = MemTotal: ] && { f_say memory "$f_v KiB"; break; }
done </proc/meminfo
f_line /sys/fs/selinux/enforce
case $f_v in
    0) f_say selinux permissive ;;
    1) f_say selinux enforcing ;;
esac

wait $f_pids 2>/dev/null
kill "$f_w" 2>/dev/null

# f_disk FILE SIZE FREE: the fields of df before the last percent sign; the name of a file system may have spaces in it.
f_disk() {
    f_v=
    [ -s "$f_t/$1" ] && { read -r f_x; read -r f_v; } <"$f_t/$1"
    f_size=$2 f_free=$3
    set -- ${f_v%\%*}
    while [ $# -gt 4 ]; do shift; done
    [ $# = 4 ] || return 0
    [ "$f_size" ] && f_say "$f_size" "$1 KiB"
    f_say "$f_free" "$3 KiB"
}
f_disk root root_size root_free
f_disk var '' var_free

f_line "$f_t/fqdn"
f_say fqdn "${f_v:-$f_hostname}"

# f_version NAME: the first word of what the program said that looks like one.
f_version() {
    f_line "$f_t/$1"
    for f_x in $f_v; do
        f_x=${f_x#v}
        case $f_x in
            [0-9]*.[0-9]*) f_say "$1" "${f_x%%,*}"; return ;;
        esac
    done
}
for f_p in docker containerd podman runc kubelet python; do f_version "$f_p"; done

f_virtual() {
    f_line "$f_t/virtual"
    [ "$f_v" ] || f_line /run/systemd/container
    [ "$f_v" ] && return
    [ -e /.dockerenv ] && { f_v=docker; return; }
    [ -e /run/.containerenv ] && { f_v=podman; return; }
    f_line /sys/class/dmi/id/sys_vendor
    case $f_v in
        QEMU*) f_v=qemu ;;
        VMware*) f_v=vmware ;;
        innotek*) f_v=oracle ;;
        Xen*) f_v=xen ;;
        *) f_v= ;;
    esac
}
f_virtual
[ "$f_v" = none ] || f_say virtual "$f_v"

# Where there is no `ip`, the kernel's tables tell; of IPv6 without colons.
f_tables() {
    f_n=0
    while [ "$f_n" -lt 20000 ] && read -r f_x f_l f_y; do
        f_n=$((f_n + 1))
        case $f_x in
            '|--') f_v=$f_l ;;
            /32) case "$f_y $f_v" in "LOCAL 127."*) ;; LOCAL*) f_say addresses "$f_v" ;; esac ;;
        esac
    done </proc/net/fib_trie
    while read -r f_v f_x f_x f_y f_l; do
        [ "$f_y" = 00 ] && f_say addresses "$f_v"
    done </proc/net/if_inet6
} 2>/dev/null
# f_after WORD LIST...: what stands behind it, f_v.
f_after() {
    f_v= f_x=$1
    shift
    while [ $# -gt 1 ]; do
        [ "$1" = "$f_x" ] && { f_v=$2; return; }
        shift
    done
}
if [ -s "$f_t/addresses" ]; then
    while read -r f_l; do
        f_after inet $f_l
        [ "$f_v" ] || f_after inet6 $f_l
        f_say addresses "${f_v%/*}"
    done <"$f_t/addresses"
else
    f_tables
fi
f_default=
for f_p in route4 route6; do
    f_line "$f_t/$f_p"
    f_after src $f_v
    [ "$f_default" ] || f_default=$f_v
done
f_say default_address "$f_default"
exit 0
