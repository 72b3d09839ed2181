#!/bin/sh
# Compiles and runs a program by the flags of pkg-config alone: pkg_config.sh PREFIX_LIBDIR CXX OUT SOURCE...
set -eu
export PKG_CONFIG_PATH="$1/pkgconfig"
export CXX="$2" OUT="$3"
shift 3
eval "\"\$CXX\" -O1 -o \"\$OUT\" \"\$@\" $(pkg-config --cflags --libs exciton)"
"$OUT"
