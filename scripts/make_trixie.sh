#!/usr/bin/env bash
# Another Debian in a folder, to try the project there: makes it (debootstrap, 0.4 GB; only once),
# clones the commit that is checked out into it and runs a command in the clone. Needs root.
#   scripts/make_trixie.sh [--suite SUITE] [--dist PACKAGES] DIR [COMMAND...]
#   scripts/make_trixie.sh /srv/trixie                            Debian 13: its test suite
#   scripts/make_trixie.sh /srv/trixie scripts/quickstart.sh
#   scripts/make_trixie.sh --suite bookworm /srv/bookworm         Debian 12
#   scripts/make_trixie.sh /srv/trixie scripts/package.sh         packages for it, and a trial on an empty one:
#   scripts/make_trixie.sh --dist /srv/trixie/src/exciton/dist /srv/empty scripts/try_packages.sh
# SUITE: a release of Debian, trixie unless given. PACKAGES: a folder that the clone sees as its dist/,
# read-only. COMMAND: scripts/test.sh unless given. The clone, DIR/src/exciton, keeps its build folder from
# one call to the next. A folder `shared` beside this checkout (real data for some tests) is shown to the
# clone at the same place, read-only.
set -euo pipefail
here=$(realpath -- "$(dirname "${BASH_SOURCE[0]}")/..")

suite=trixie
dist=
while [[ ${1:-} == --suite || ${1:-} == --dist ]]; do
  if [[ $1 == --suite ]]; then
    suite=${2:?make_trixie.sh: --suite expects the name of a release}
  else
    dist=$(realpath -e -- "${2:?make_trixie.sh: --dist expects a folder of packages}")
  fi
  shift 2
done
if (($# == 0)) || [[ $1 == -* ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
root=$1
shift
command=("${@:-scripts/test.sh}")

if ((EUID != 0)); then
  echo "make_trixie.sh: chroot needs root; try: sudo $0 $root" >&2
  exit 1
fi
if ! command -v debootstrap >/dev/null; then
  echo "make_trixie.sh: there is no debootstrap; try: apt-get install debootstrap" >&2
  exit 1
fi

if [[ ! -e $root/etc/debian_version ]]; then
  if [[ -d $root && -n $(ls -A "$root") ]]; then
    echo "make_trixie.sh: $root holds something else; expected a folder of this script's, or none" >&2
    exit 1
  fi
  echo "Making Debian $suite in $root"
  # What stops half-way must not look whole.
  rm -rf "$root.part"
  debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root.part" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    exit 1
  }
  [[ ! -d $root ]] || rmdir "$root"
  mv "$root.part" "$root"
fi
root=$(realpath -- "$root")

clone=$root/src/exciton
mkdir -p "$clone"
commit=$(git -C "$here" rev-parse HEAD)
[[ -d $clone/.git ]] || git init --quiet "$clone"
git -C "$clone" fetch --quiet "$here" HEAD
git -C "$clone" checkout --quiet --force --detach "$commit"

mounted=()
show() {  # FOLDER [OPTIONS]: the same folder in the other Debian
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mounted=("$root$2" "${mounted[@]}")
  if [[ ${3:-} == read-only ]]; then mount -o remount,bind,ro "$root$2"; fi
}
hide() { for place in "${mounted[@]}"; do umount "$place"; done; }
trap hide EXIT
show /proc /proc
show /sys /sys
show /dev /dev
show /dev/pts /dev/pts
show /dev/shm /dev/shm
if [[ -d $here/../shared ]]; then show "$(realpath -- "$here/../shared")" /src/shared read-only; fi
if [[ -n $dist ]]; then show "$dist" /src/exciton/dist read-only; fi

# Root's own environment stays outside, but for the settings that choose kernels.
settings=()
while IFS= read -r name; do settings+=("$name=${!name}"); done < <(compgen -e | grep -E '^(EXCITON|DNNL|OMP|CI$)' || true)
echo "Debian $(<"$root/etc/debian_version"), $commit: ${command[*]}"
chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${settings[@]}" \
  /bin/bash -c 'cd /src/exciton && exec "$@"' bash "${command[@]}"
