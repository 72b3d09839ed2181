#!/usr/bin/env bash
# Builds what a release consists of, for the Debian it runs on, into a folder:
#   scripts/package.sh [DIR]        dist/ unless given
#     *.deb                 exciton, libexciton0, libexciton-dev, python3-exciton; without errors of lintian
#     exciton-V-linux-x86_64.tar.gz     the program with its libraries: unpack it anywhere, run bin/exciton
#     exciton-V-cp3*.whl    the Python package with its libraries, where setuptools and wheel are
#     SHA256SUMS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dist=$(realpath -m -- "${1:-dist}")
mkdir -p "$dist"

scripts/install_packages.sh --python dpkg-dev file lintian patchelf python3-setuptools python3-wheel
cmake --preset package --log-level=WARNING
cmake --build --preset package
build=build/package
version=$(sed -n 's/^project(exciton VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)

echo "== Debian packages"
rm -f "$build"/*.deb
(cd "$build" && cpack -G DEB >cpack.log 2>&1) || { tail -n 20 "$build/cpack.log" >&2; exit 1; }
lintian --allow-root --fail-on error "$build"/*.deb
cp "$build"/*.deb "$dist"

# copy_libraries FILE... DIR: what they need and no Debian is without, into DIR. The C library and its
# loader are those of the system: they fit one another and the kernel.
copy_libraries() {
  local to=${*: -1}
  mkdir -p "$to"
  ldd "${@:1:$#-1}" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u |
    grep -vE '/(ld-linux-x86-64|libc|libm|libdl|librt|libpthread|libresolv|libutil)\.so' |
    xargs cp -L --target-directory "$to"
  chmod u+w "$to"/*
}

echo "== Tarball"
name=exciton-$version-linux-x86_64
root=$build/$name
rm -rf "$root"
cmake --install "$build" --prefix "$root" --component program --strip >/dev/null
copy_libraries "$build/exciton" "$root/lib"
strip --strip-unneeded "$root"/lib/*.so*
patchelf --set-rpath "\$ORIGIN/../lib" "$root/bin/exciton"
for library in "$root"/lib/*.so*; do patchelf --set-rpath "\$ORIGIN" "$library"; done
cp LICENSE README.md CHANGELOG.md "$root"
env -i "$root/bin/exciton" --version
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$build" -c "$name" |
  gzip -9n >"$dist/$name.tar.gz"

if module=$(compgen -G "$build/python/exciton/_exciton.*.so") && python3=/usr/bin/python3; then
  echo "== Wheel"
  wheel=$build/wheel
  rm -rf "$wheel"
  mkdir -p "$wheel/exciton"
  cp -L "$build"/python/exciton/* "$wheel/exciton" 2>/dev/null || true
  rm -rf "$wheel/exciton/__pycache__"
  copy_libraries "$module" "$wheel/exciton/lib"
  strip --strip-unneeded "$wheel"/exciton/*.so "$wheel"/exciton/lib/*.so*
  patchelf --set-rpath "\$ORIGIN/lib" "$wheel"/exciton/_exciton.*.so
  for library in "$wheel"/exciton/lib/*.so*; do patchelf --set-rpath "\$ORIGIN" "$library"; done
  cp python/setup.py README.md "$wheel"
  (cd "$wheel" && EXCITON_VERSION=$version "$python3" setup.py -q bdist_wheel --dist-dir "$dist" 2>setup.log) ||
    { tail -n 20 "$wheel/setup.log" >&2; exit 1; }
fi

(cd "$dist" && sha256sum -- *.deb *.tar.gz *.whl >SHA256SUMS)
ls -l "$dist"
