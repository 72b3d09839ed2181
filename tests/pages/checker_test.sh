#!/usr/bin/env bash
# The checker of the course complains about what is wrong in a page, and about nothing else.
#   checker_test.sh CHECKER PROGRAM
set -euo pipefail
checker=$1
program=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# expect STATUS [MESSAGE]: what the checker says to the page on standard input.
expect() {
  local wanted=$1 message=${2:-} status=0
  cat >"$scratch/page.md"
  "$checker" "$program" "$scratch/page.md" >"$scratch/said" 2>&1 || status=$?
  if ((status != wanted)) || ! grep -qF -- "$message" "$scratch/said"; then
    echo "wanted status $wanted and \"$message\", got $status and:" >&2
    cat "$scratch/said" >&2
    exit 1
  fi
}

expect 0 <<'END'
Text, and a [link](page.md).
```sh run
exciton --version
printf 'one\ntwo\nthree\n'
```
```text output
one
thre
```
```cpp core/error.hpp
namespace exciton {
...
}  // namespace exciton
```
```sh
exit 1
```
END
expect 1 'page.md:1: the link nowhere.md leads nowhere' <<<'[a link](nowhere.md)'
expect 1 'page.md:1: the block that begins here failed' <<'END'
```sh run
false
```
END
expect 1 'page.md:4: not printed: two' <<'END'
```sh run
printf 'two\none\n'
```
```text output
one
two
```
END
expect 1 'page.md:1: not in core/error.hpp: namespace excite {' <<'END'
```cpp core/error.hpp
namespace excite {
```
END
expect 1 'page.md:1: there is no file core/nothing.hpp' <<'END'
```cpp core/nothing.hpp
int i;
```
END
expect 1 'page.md:1: the block that begins here does not end' <<<'```sh run'
