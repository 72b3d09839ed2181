#!/usr/bin/env bash
# From a fresh clone to a trained SE-ResNet-20, in some minutes:
#   scripts/quickstart.sh [DATA_DIR]
# Installs what is missing, builds (or takes the tarball in dist/, see scripts/package.sh), finds real images, trains, and says what to do next.
# DATA_DIR (or EXCITON_DATA) names a folder with CIFAR-10, Fashion-MNIST or images in class folders.
# Other settings: EXCITON_RUN, the run folder to make; EXCITON_EPOCHS, a shorter or longer training.
set -euo pipefail
start_dir=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
exciton=build/release/exciton

packaged=$(compgen -G 'dist/exciton-*-linux-x86_64.tar.gz' | sort -V | tail -n 1 || true)
if [[ -n $packaged ]]; then
  say "Program"
  echo "Taking the built one: $packaged"
  mkdir -p build
  tar -C build -xzf "$packaged"
  exciton=build/$(basename "$packaged" .tar.gz)/bin/exciton
  "$exciton" --version
else
  say "Packages"
  scripts/install_packages.sh
  echo "Everything needed is installed."

  say "Build"
  cmake --preset release --log-level=WARNING
  cmake --build --preset release --target exciton
fi

say "Data"
describe() { "$exciton" data info "$1" | grep -v '^   '; }
cifar="data-cache/cifar10"
recipe=recipes/cifar10_se_resnet20_fast.json
recipe_changes=()

data=${1:-${EXCITON_DATA:-}}
if [[ -n $data ]]; then
  data=$(cd "$start_dir" && realpath -- "$data")
  description=$(describe "$data")  # ends here, and says why, when there are no images
  [[ $description == *"channels 3"* ]] || recipe=recipes/fashion_mnist_quickstart.json
  recipe_changes=(--set data.kind=auto)
  chosen="Taking $data, as you said:"
elif description=$(describe "$cifar" 2>/dev/null); then
  data=$cifar
  chosen="Taking CIFAR-10, found in $cifar:"
elif echo "Looking for CIFAR-10 on its own site (170 MB) ..." &&
  timeout 900 "$exciton" data fetch cifar10 --dir "$cifar"; then
  data=$cifar
  description=$(describe "$data")
  chosen="Taking CIFAR-10, downloaded to $cifar:"
else
  echo "CIFAR-10 is not in $cifar, and cannot be downloaded from here."
  recipe=recipes/fashion_mnist_quickstart.json
  data=/usr/share/datasets/fashion-mnist
  [[ -d $data ]] || scripts/install_packages.sh --only dataset-fashion-mnist
  description=$(describe "$data")
  chosen="Taking Fashion-MNIST from Debian's package dataset-fashion-mnist:"
fi
printf '%s\n%s\n' "$chosen" "$description"

run=${EXCITON_RUN:-}
if [[ -z $run ]]; then
  run=runs/quickstart
  for ((i = 2; ; i++)); do
    [[ -e $run ]] || break
    run=runs/quickstart-$i
  done
fi
say "Training: $recipe on $data into $run"
"$exciton" train "$recipe" --data "$data" --out "$run" "${recipe_changes[@]}" \
  ${EXCITON_EPOCHS:+--epochs "$EXCITON_EPOCHS"}

say "Done"
"$exciton" eval "$run" --data "$data"
train="$exciton train $recipe --data $data ${recipe_changes[*]}"
cat <<END

The model is in $run/checkpoints, the log in $run/log.jsonl. Next:
  what is on an image of yours:
    $exciton predict $run IMAGE.png
  a network for images of yours, a folder for each class, and where it is wrong:
    $exciton train photos/
    $exciton eval runs/photos --page mistakes.html
  what this machine has, and what to do about it:
    $exciton doctor
  what the network is made of, layer by layer, and SE's share of it:
    $exciton summary se_resnet20
  the same training without SE, or with wider SE blocks:
    $train --set model.name=resnet20
    $train --set model.se.reduction=4
END
