#!/usr/bin/env bash
# Installs what is missing, builds the release preset and runs every test.
#   scripts/test.sh [CTEST_ARGUMENT...]      e.g. scripts/test.sh -R ops
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install_packages.sh --python --docs dataset-fashion-mnist libopenmpi-dev openmpi-bin
cmake --preset release -DEXCITON_TESTS=ON
cmake --build --preset release
ctest --preset release --parallel "$(nproc)" "$@"
