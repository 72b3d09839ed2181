#!/usr/bin/env bash
# Makes a release: writes the version and the changelog's heading, runs every check, builds the packages into
# dist/, commits and tags.
#   scripts/release.sh [--no-tests] VERSION        e.g. scripts/release.sh 0.2.0
# --no-tests: the suite has just been run on this commit. What fails leaves nothing but dist/ and, until it is
# repeated, the two changed files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tests=1
if [[ ${1:-} == --no-tests ]]; then tests=0; shift; fi
version=${1:-}
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
fail() { echo "release.sh: $*" >&2; exit 1; }
[[ -z $(git status --porcelain) ]] || fail "there are changes that are not committed"
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then fail "the tag v$version is there already"; fi
old=$(sed -n 's/^project(exciton VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[[ $(printf '%s\n' "$old" "$version" | sort -V | tail -n 1) == "$version" ]] || fail "$version is older than $old"
changes=$(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/p' CHANGELOG.md | grep -c '^- ' || true)
((changes > 0)) || fail "CHANGELOG.md has nothing under [Unreleased]"

undo() { git checkout -q -- CMakeLists.txt CHANGELOG.md; }
trap undo ERR
sed -i "s/^project(exciton VERSION $old/project(exciton VERSION $version/" CMakeLists.txt
sed -i "s/^## \[Unreleased\]$/## [Unreleased]\n\n## [$version] - $(date -u +%F)/" CHANGELOG.md
echo "Release $version: $changes entries of the changelog"

scripts/install_packages.sh --dev
scripts/check_format.sh
if ((tests)); then scripts/test.sh; fi
rm -rf dist
scripts/package.sh dist
trap - ERR
git commit -q -m "Release $version" CMakeLists.txt CHANGELOG.md
git tag -a "v$version" -m "Exciton $version"
echo "Tagged v$version; dist/ has its packages. Publish it: git push --follow-tags"
