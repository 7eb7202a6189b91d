#!/usr/bin/env bash
# Writes what the real ansible-inventory says of each fixture into expected/NAME.json, `null` where it refuses it.
#
# pip fetches from wherever this machine's own configuration says. Only whoever changes a fixture needs it: the test reads the files.
set -euo pipefail
cd "$(dirname "$0")"
version=2.19.14
venv=${ANNEAL_ANSIBLE_VENV:-/var/cache/anneal-ansible/$version}
if [ ! -x "$venv/bin/ansible-inventory" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --require-virtualenv "ansible-core==$version"
fi
export ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true ANSIBLE_LOCALHOST_WARNING=false
rm -rf expected && mkdir expected
for fixture in *; do
  case $fixture in
  expected | expect.sh) continue ;;
  *.beside) inventory=$(find "$fixture" -maxdepth 1 -type f ! -name '.*') ;;
  *) inventory=$fixture ;;
  esac
  # In an empty folder: what lies beside the working folder counts as beside the playbook.
  here=$PWD empty=$(mktemp -d)
  if (cd "$empty" && "$venv/bin/ansible-inventory" -i "$here/$inventory" --list) >"expected/$fixture.json" 2>/dev/null; then
    sed -i "s|$here|.|g" "expected/$fixture.json"
  else
    echo null >"expected/$fixture.json"
  fi
  rmdir "$empty"
done
echo "ansible-core $version" >expected/VERSION
