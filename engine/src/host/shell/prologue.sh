# Opens every script: says on both streams that the shell has begun, so that whatever a login script or sudo wrote
# before is told apart, then reads its orders from standard input. A line that is not ours (a password that sudo did
# not want) is passed over, never run, never echoed. An order that was cut off by a lost connection is not followed.
a_N='
'
printf '\nanneal-begin %s\n' $$
printf '\nanneal-begin %s\n' $$ >&2
a_l=
while IFS= read -r a_l; do
    case $a_l in "anneal-1 "*) break ;; esac
    a_l=
done
a_more=yes
IFS= read -r a_files || a_more=
IFS= read -r a_job || a_more=
[ "$a_more" ] || exit 97
eval "${a_l#anneal-1 }"
a_l=
