#!/bin/sh
# OpenSSH's part of the fleet, as scripts do it: a master connection to the host, then a client for each command and one for the file.
# Usage: mux_fan.sh FOLDER ADDRESS PORT CONFIG PAYLOAD TO COMMANDS
set -e
folder=$1 address=$2 port=$3 config=$4 payload=$5 to=$6 commands=$7
ssh -F "$config" -p "$port" -o ControlMaster=yes -o ControlPath="$folder/$address" -Nf "root@$address"
through="-F $config -p $port -o ControlPath=$folder/$address"
while IFS= read -r command <&3; do
  ssh $through "root@$address" "$command" </dev/null
done 3<"$commands"
ssh $through "root@$address" "cat >$to" <"$payload"
ssh $through -O exit "root@$address" 2>/dev/null
