# Whether the end of the login session would end a job: logind's KillUserProcesses (logind.conf(5)). Asked before the first
# job of a user on a host. Where it would, nothing begins: it is said how a job can leave the session, or that it cannot.
a_y=
while read -r a_x; do
    case $a_x in *:name=systemd:*/session-* | 0::*/session-*) a_y=yes ;; esac
done </proc/$$/cgroup 2>/dev/null
[ "$a_y" ] && case $(loginctl show-session -p KillUserProcesses 2>/dev/null) in
    KillUserProcesses=yes)
        systemd-run --scope --quiet -- true </dev/null >/dev/null 2>&1 && a_end session system
        a_x=$(id -u)
        [ -e "/var/lib/systemd/linger/$(id -un)" ] && export XDG_RUNTIME_DIR="/run/user/$a_x" &&
            systemd-run --user --scope --quiet -- true </dev/null >/dev/null 2>&1 && a_end session "$a_x"
        a_end session stay
        ;;
esac
