#!/usr/bin/env bash
# Tries what scripts/package.sh made, on a Debian that has nothing of it (scripts/make_trixie.sh --dist DIR):
#   scripts/try_packages.sh [DIR]       dist/ unless given; as root
# Installs the packages, trains on Fashion-MNIST, calls Python, runs the first notebook; builds an example against
# libexciton-dev; then takes all of it away, and trains with the tarball and the wheel alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dist=$(realpath -- "${1:-dist}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive
step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
train() {  # PROGRAM RUN
  "$1" train recipes/fashion_mnist_quickstart.json --out "$work/$2" --epochs 1 --set "model.blocks=[1,1,1]"
}

step "The tarball, on what is here"
ls -l "$dist"
tar -C "$work" -xzf "$dist"/exciton-*-linux-x86_64.tar.gz
mv "$work"/exciton-*-linux-x86_64 "$work/a folder"
"$work/a folder/bin/exciton" --version
apt-get update -qq
apt-get install -y -qq --no-install-recommends dataset-fashion-mnist >/dev/null
train "$work/a folder/bin/exciton" by_tarball

step "Packages"
apt-get install -y -qq --no-install-recommends "$dist"/*.deb >/dev/null
exciton --version
train exciton by_package
exciton eval "$work/by_package"

step "Python"
(cd / && python3 -c 'import exciton; print("exciton", exciton.__version__, exciton.models.make("se_resnet20"))')

step "A notebook"
apt-get install -y -qq --no-install-recommends python3-nbconvert python3-ipykernel python3-matplotlib >/dev/null
python3 -m nbconvert --log-level=ERROR --to notebook --execute --output-dir "$work" docs/notebooks/01_first_training.ipynb
grep -o 'top-1 [0-9.]* % of [0-9]* images' "$work/01_first_training.ipynb"

step "Building with libexciton-dev"
apt-get install -y -qq --no-install-recommends cmake make g++ pkg-config >/dev/null
cmake -S examples/own_operator -B "$work/own" >/dev/null
cmake --build "$work/own" >/dev/null
ctest --test-dir "$work/own" --output-on-failure | tail -n 8

step "The wheel, without the packages"
apt-get purge -y -qq exciton libexciton0 libexciton-dev python3-exciton >/dev/null
[[ ! -e /usr/bin/exciton ]]
if compgen -G "$dist/*.whl" >/dev/null; then
  python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' "$dist"/*.whl "$work/wheel"
  (cd / && PYTHONPATH=$work/wheel python3 -c 'import exciton; print("exciton", exciton.__version__, "by the wheel")')
fi
step "Done"
