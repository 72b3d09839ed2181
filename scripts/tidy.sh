#!/usr/bin/env bash
# Runs clang-tidy with .clang-tidy over the given files, or all of the repository's.
#   scripts/tidy.sh [FILE...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake --preset clang --log-level=WARNING
files=("$@")
if ((${#files[@]} == 0)); then mapfile -t files < <(git ls-files '*.cpp' ':!examples'); fi
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/clang --quiet
