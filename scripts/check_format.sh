#!/usr/bin/env bash
# Checks clang-format of every C++ file and shellcheck of every script; changes nothing.
#   scripts/check_format.sh          to repair: clang-format -i FILE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t sources < <(git ls-files '*.cpp' '*.hpp')
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
clang-format --dry-run --Werror "${sources[@]}"
shellcheck "${scripts[@]}"
echo "${#sources[@]} C++ files and ${#scripts[@]} scripts are in order."
