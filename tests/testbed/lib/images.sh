# shellcheck shell=bash
# Makes sure that the images are there: built once a recipe, in a cache that all checkouts share, and loaded once a checkout.
#
# Invariant: the cache holds one folder per recipe (a hash of what decides an image's content); it appears by one rename,
# whole or not at all.

recipe=$(cd "$here" && find image lib/build.sh -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-12)
artefacts=$cache/$recipe
readonly recipe artefacts
readonly image_host=anneal-host:$recipe image_bare=anneal-host-bare:$recipe

# Everything that `up` needs; costs a few milliseconds when all is there.
setup() {
  ensure_built
  ensure_daemon
  ensure_imported
  ensure_network
}

ensure_built() {
  [ "$(id -u)" = 0 ] || die "the testbed needs root" "run it as root"
  ensure_packages
  [ -d "$artefacts" ] && return 0
  ensure_daemon
  locked "$cache/lock" build
}

ensure_imported() {
  [ -e "$state/imported-$recipe" ] || locked "$state/lock" import_images
}
import_images() {
  [ -e "$state/imported-$recipe" ] && return 0
  if ! docker_cli image inspect "$image_host" "$image_bare" >/dev/null 2>&1; then
    say "loading the host images into the private dockerd"
    docker_cli load --input "$artefacts/hosts.tar" >/dev/null || die "could not load $artefacts/hosts.tar" \
      "remove that folder and run \`testbed setup\` again"
  fi
  make_keys
  rm -f "$state"/imported-*
  drop_other_recipes
  touch "$artefacts" "$state/imported-$recipe"
}

# Images of earlier recipes, unless a host still runs on them.
drop_other_recipes() {
  local image
  docker_cli images --format '{{.Repository}}:{{.Tag}}' --filter 'reference=anneal-host*' | while read -r image; do
    case $image in
      "$image_host" | "$image_bare") ;;
      *) docker_cli rmi "$image" >/dev/null 2>&1 || true ;;
    esac
  done
}

# The private keys stay on this machine; hosts see the folder with the public ones (see image/rootfs/…/sshd_config.d).
make_keys() {
  local user
  mkdir -p "$state/keys" "$state/authorized"
  for user in ubuntu root; do
    [ -s "$state/keys/$user" ] || ssh-keygen -q -t ed25519 -N '' -C "anneal-testbed-$user" -f "$state/keys/$user"
    cp "$state/keys/$user.pub" "$state/authorized/$user"
  done
}
