#!/usr/bin/env bash
# Holds a page of the documentation against the program and the code:
#   scripts/check_page.sh PROGRAM PAGE.md [SETUP]
# SETUP is a script that fills the scratch folder in which commands run, given the repository's root and PAGE;
# without it there are the files beside the page. In the page,
#   ```sh run        blocks run one after another in the scratch folder, `exciton` being PROGRAM; they
#                    must succeed;
#   ```text output   the lines stand, in this order, in what the block above printed (parts of lines do;
#                    " ... " within one is what differs from machine to machine);
#   ```cpp FILE      the lines stand, in this order, in that file of the repository; "..." is a gap;
#   links            that are relative lead to files.
# A block `sh run fashion` needs Debian's package dataset-fashion-mnist. Without it, it and its output
# are passed over, and the exit status is 77 unless something else is wrong.
set -euo pipefail

if (($# < 2 || $# > 3)); then
  echo "usage: check_page.sh PROGRAM PAGE.md [SETUP]" >&2
  exit 2
fi
program=$(realpath -- "$1")
page=$(realpath -- "$2")
root=$(realpath -- "$(dirname "${BASH_SOURCE[0]}")/..")
fashion=/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/work"
export PATH=${program%/*}:$PATH
if (($# == 3)) && grep -q '^```sh run' "$page"; then
  setup=$(realpath -- "$3")
  (cd "$scratch/work" && "$setup" "$root" "$page") >"$scratch/setup" 2>&1 || {
    cat "$scratch/setup" >&2
    echo "check_page.sh: $3 failed" >&2
    exit 1
  }
elif (($# == 2)); then
  find "${page%/*}" -maxdepth 1 -type f -exec cp -t "$scratch/work" {} +
fi
printed=$scratch/printed
: >"$printed"
failures=0
skipped=false

complain() {
  echo "${page##*/}:$1: ${*:2}" >&2
  failures=$((failures + 1))
}

# The first line of the block $1 that does not follow in the file $2; "whole" or "part" of a line.
missing_line() {
  awk -v compare="$3" '
    function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }
    # Whether the parts of `want` between " ... " stand in `line` in their order.
    function stands(line, want,    parts, n, k, at) {
      n = split(want, parts, / *\.\.\. */)
      for (k = 1; k <= n; ++k) {
        if (parts[k] == "") continue
        at = index(line, parts[k])
        if (at == 0) return 0
        line = substr(line, at + length(parts[k]))
      }
      return 1
    }
    FNR == NR { if (trim($0) != "" && trim($0) != "...") want[++n] = trim($0); next }
    i < n && (compare == "whole" ? trim($0) == want[i + 1] : stands($0, want[i + 1])) { ++i }
    END { if (i < n) print want[i + 1] }' "$1" "$2"
}

run_block() {
  echo "+ $(<"$block")"
  if (cd "$scratch/work" && bash -euo pipefail "$block") >"$printed" 2>&1; then
    cat "$printed"
  else
    cat "$printed" >&2
    complain "$1" "the block that begins here failed"
  fi
}

check_block() {
  local line=$1 language=$2 what=$3 needs=$4 lost
  case $language:$what in
    sh:run)
      passed_over=false
      if [[ $needs == fashion && ! -f $fashion ]]; then
        echo "skipped: package dataset-fashion-mnist is not installed"
        passed_over=true
        skipped=true
      else
        run_block "$line"
      fi
      ;;
    text:output)
      $passed_over && return
      lost=$(missing_line "$block" "$printed" part)
      [[ -z $lost ]] || complain "$line" "not printed: $lost"
      ;;
    cpp:?*)
      if [[ ! -f $root/$what ]]; then
        complain "$line" "there is no file $what"
      else
        lost=$(missing_line "$block" "$root/$what" whole)
        [[ -z $lost ]] || complain "$line" "not in $what: $lost"
      fi
      ;;
  esac
}

block=$scratch/block
in_block=false
passed_over=false
number=0
while IFS= read -r text; do
  number=$((number + 1))
  if [[ $text == '```'* ]]; then
    if $in_block; then
      in_block=false
      check_block "$begin" "$language" "$what" "$needs"
    else
      in_block=true
      begin=$number
      read -r language what needs <<<"${text#'```'}" || true
      : >"$block"
    fi
  elif $in_block; then
    printf '%s\n' "$text" >>"$block"
  else
    while read -r link; do
      [[ -z $link || $link == http* || -e ${page%/*}/${link%%#*} ]] ||
        complain "$number" "the link $link leads nowhere"
    done < <(grep -o '](\([^)]*\))' <<<"$text" | sed 's/^](\(.*\))$/\1/')
  fi
done <"$page"

if $in_block; then complain "$begin" "the block that begins here does not end"; fi
if ((failures > 0)); then exit 1; fi
if $skipped; then exit 77; fi
