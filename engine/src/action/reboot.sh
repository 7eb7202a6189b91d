#!/bin/sh
# Asks for a restart. $1, $2: the boot id and the process namespace of the machine that asks for it.
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" != 0 ]; then
    echo 'only root may restart a machine: let the step run with as_user: "root"' >&2
    exit 77
fi
read -r boot </proc/sys/kernel/random/boot_id
space=$(readlink /proc/self/ns/pid)
# A container with processes of its own, on the machine that asks, restarts by itself.
if [ "$boot" = "$1" ] && { [ -z "$2" ] || [ -z "$space" ] || [ "$space" = "$2" ]; }; then
    echo 'this is the machine that Anneal runs on, which it never restarts' >&2
    exit 78
fi
# What says that this attempt began is on the disk before anything ends: asked again, the host knows that it is done.
sync
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
    systemctl reboot && exit 0
fi
if command -v reboot >/dev/null; then
    reboot && exit 0
fi
if command -v shutdown >/dev/null; then
    shutdown -r now && exit 0
fi
echo 'neither systemctl nor reboot nor shutdown restarts this machine' >&2
exit 1
