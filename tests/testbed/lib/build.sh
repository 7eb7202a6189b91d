# shellcheck shell=bash
# What hosts are made of, and what they are fed: two host images, the registry image archive, a sample image.
#
#   host-bare  a root file system by mmdebstrap, with the packages of image/repository lying in /srv/apt for apt
#   host       host-bare with these packages installed: a layer, so both together cost little more than one
#
# Invariant: no image holds a key, a machine id or the name of a package mirror.

build() {
  [ -d "$artefacts" ] && return 0
  local work=$cache/building-$recipe started=$SECONDS
  rm -rf "$cache"/building-*
  # Recipes that no checkout has loaded for a month.
  find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
  mkdir -p "$work/out"
  [ -n "$(debian_sources)" ] || refresh_apt_lists
  build_bare_root "$work"
  build_hosts "$work"
  build_registry "$work"
  build_sample "$work"
  mv "$work/out" "$artefacts"
  rm -rf "$work"
  say "images built in $((SECONDS - started)) s: $artefacts"
}

# The machine's own apt sources, only the ones whose Release file says Debian, as apt itself sees them.
debian_sources() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg option=''
  [ ! -e "$keyring" ] || option="[signed-by=$keyring] "
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
    sed -n "s#^Debian|#deb $option#p" | sort -u
}

# How this machine's apt reaches its sources: proxies and the like.
apt_access_options() {
  apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' || true
}

build_bare_root() {
  local work=$1 log=$1/../mmdebstrap.log suite
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-stable}")
  say "building the root file system (about a minute; log: $cache/mmdebstrap.log)"
  apt_access_options >"$work/apt.conf"
  debian_sources >"$work/sources.list"
  [ -s "$work/sources.list" ] || die "apt knows no Debian source on this machine" "the testbed needs Debian's packages"
  mmdebstrap --variant=minbase --include="$(grep -v '^#' "$here/image/packages" | paste -sd,)" \
    --aptopt="$work/apt.conf" --dpkgopt="$here/image/dpkg.cfg" \
    --customize-hook="'$here/image/customise' \"\$1\" '$here/image/rootfs'" \
    "$suite" "$work/bare.tar" - <"$work/sources.list" >"$log" 2>&1 ||
    die "mmdebstrap failed (log: $cache/mmdebstrap.log): $(grep -m 3 '^E:' "$log" | tr '\n' ' ')"
}

readonly as_host='ENTRYPOINT ["/usr/lib/anneal-testbed/init"]'

build_hosts() {
  local work=$1 container=build-$recipe
  say "building the host images"
  docker_cli import --change "$as_host" "$work/bare.tar" "$image_bare" >/dev/null || die "docker import failed"
  rm "$work/bare.tar"
  docker_cli rm -f "$container" >/dev/null 2>&1 || true
  docker_cli run --name "$container" --network none --entrypoint /bin/sh "$image_bare" -ec \
    'export DEBIAN_FRONTEND=noninteractive; apt-get update; apt-get install -y --no-install-recommends docker.io; apt-get clean
     rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log' >"$cache/docker-layer.log" 2>&1 ||
    die "could not install Docker in the host image (log: $cache/docker-layer.log)"
  docker_cli commit --change "$as_host" "$container" "$image_host" >/dev/null || die "docker commit failed"
  docker_cli rm "$container" >/dev/null
  docker_cli save --output "$work/out/hosts.tar" "$image_host" "$image_bare" || die "docker save failed" "is the disk full?"
}

# unpack_packages FOLDER PACKAGE...: the files of Debian packages, without installing them.
unpack_packages() {
  local into=$1 debs
  shift
  debs=$(mktemp -d "$cache/debs.XXXXXX")
  (cd "$debs" && apt-get download -o APT::Sandbox::User=root "$@" >"$cache/download.log" 2>&1) || {
    rm -rf "$debs"
    die "could not download $* (log: $cache/download.log): $(tail -n 1 "$cache/download.log")" "check the machine's apt sources and network"
  }
  mkdir -p "$into"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$into"; done
  rm -rf "$debs"
}

# The registry, as a user would have it from `docker save`: FROM scratch, out of Debian packages.
build_registry() {
  local work=$1 root=$1/registry
  say "building the registry image"
  unpack_packages "$root" docker-registry libc6 busybox-static ca-certificates
  rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/lintian "$root"/usr/lib/*/gconv "$root"/lib/*/gconv "$root"/etc/init.d
  mkdir -p "$root"/{etc/ssl/certs,etc/docker/registry,var/lib/registry,tmp,usr/bin,bin}
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$root/usr/share/ca-certificates"
  for applet in sh cat ls; do ln -s busybox "$root/bin/$applet"; done
  ln -sf docker-registry "$root/usr/bin/registry"
  cp "$here/image/registry/config.yml" "$root/etc/docker/registry/config.yml"
  install -m 755 "$here/image/registry/entrypoint.sh" "$root/entrypoint.sh"
  save_image "$root" registry:latest "$work/out/registry.tar" --change 'ENTRYPOINT ["/entrypoint.sh"]' \
    --change 'CMD ["/etc/docker/registry/config.yml"]' --change 'VOLUME /var/lib/registry' --change 'EXPOSE 5000'
}

build_sample() {
  local work=$1 root=$1/sample
  say "building the sample image"
  unpack_packages "$work/busybox" busybox-static
  mkdir -p "$root/bin"
  cp "$work/busybox/bin/busybox" "$root/bin/busybox"
  save_image "$root" sample:1 "$work/out/sample.tar" --change 'CMD ["/bin/busybox", "echo", "sample:1 runs"]'
}

# save_image ROOT TAG FILE CHANGES...
save_image() {
  local root=$1 tag=$2 file=$3
  shift 3
  tar --create --numeric-owner --owner=0 --group=0 --directory "$root" . | docker_cli import --platform "linux/$(dpkg --print-architecture)" "$@" - "$tag" >/dev/null ||
    die "docker import of $tag failed"
  docker_cli save --output "$file" "$tag" || die "docker save of $tag failed" "is the disk full?"
  docker_cli rmi "$tag" >/dev/null
}
