#!/usr/bin/env bash
# Installs the Debian packages that Exciton is built from. Does nothing, and needs no root, when all
# of them are there.
#   scripts/install_packages.sh [--only] [--dev] [--python] [--docs] [PACKAGE...]
# --only leaves out what every build needs: the PACKAGEs and what other options add, and no more.
# --python adds what the Python module is built from, --docs what runs the notebooks and makes the site.
# --dev adds what developers check with (Clang, clang-tidy, clang-format, shellcheck, ccache, and Chromium for the
# pages), and OpenBLAS for -DEXCITON_OPENBLAS=ON.
set -euo pipefail

packages=(
  cmake ninja-build g++ pkg-config
  libdnnl-dev ocl-icd-opencl-dev  # oneDNN, and what its CMake package asks for
  nlohmann-json3-dev libcli11-dev libxxhash-dev
  libjpeg-dev libpng-dev libwebp-dev libtiff-dev libgif-dev
  zlib1g-dev libarchive-dev
  libcpp-httplib-dev  # the page that shows a run as it goes
  libjs-chart.js  # charts of the pages that the program writes
  libcurl4-openssl-dev libssl-dev ca-certificates
  libgtest-dev libturbojpeg0-dev  # the tests, and the JPEG files that they write
)
if [[ ${1:-} == --only ]]; then
  packages=()
  shift
fi
for argument in "$@"; do
  case $argument in
    --dev) packages+=(clang clang-tidy clang-format libomp-dev shellcheck ccache chromium libbenchmark-dev
                       libopenblas-dev) ;;
    --python) packages+=(python3-dev python3-numpy pybind11-dev) ;;
    --docs) packages+=(python3-nbconvert python3-ipykernel python3-matplotlib python3-markdown) ;;
    -*)
      echo "install_packages.sh: unknown option $argument (there are --only, which comes first, --dev, --python and --docs)" >&2
      exit 2
      ;;
    *) packages+=("$argument") ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install_packages.sh: missing, and only root can install them (no sudo here):" >&2
    printf '  apt-get install --no-install-recommends' >&2
    printf ' %s' "${missing[@]}" >&2
    echo >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
