#!/usr/bin/env bash
# Builds the project's site: guide, course, notebooks and reference as pages that need no server and no
# network, to search in, light and dark; then follows every link.
#   scripts/make_site.sh [--run] [DIR]        site/ unless given; open site/index.html
# --run: runs the notebooks before (some minutes; with build/release/python), so that their pages have results.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run=0
if [[ ${1:-} == --run ]]; then run=1; shift; fi
site=$(realpath -m -- "${1:-site}")

scripts/install_packages.sh --only python3-markdown
python3=/usr/bin/python3
notebooks=()
if ((run)); then
  scripts/install_packages.sh --only --docs dataset-fashion-mnist
  executed=$(mktemp -d)
  trap 'rm -rf "$executed"' EXIT
  PYTHONPATH=$PWD/build/release/python "$python3" -m nbconvert --log-level=WARN --to notebook --execute \
    --output-dir "$executed" docs/notebooks/*.ipynb
  notebooks=(--notebooks "$executed")
fi
"$python3" scripts/make_site.py "$site" "${notebooks[@]}"
"$python3" scripts/make_site.py --check "$site"
