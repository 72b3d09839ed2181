#!/bin/sh
# The first 1000 training and 200 test images of Fashion-MNIST, as a data set of their own:
#   sh small_fashion.sh DIR
# Needs Debian's package dataset-fashion-mnist.
set -eu
from=/usr/share/datasets/fashion-mnist
to=$1
mkdir -p "$to"

# cut_idx FILE HEADER BYTES OLD_HEADER: another header (in octal), and the first bytes behind the
# OLD_HEADER bytes of the file's own.
cut_idx() {
  {
    printf '%b' "$2"
    gunzip -c "$from/$1.gz" | tail -c "+$(($4 + 1))" | head -c "$3"
  } >"$to/$1"
}
# An IDX header: 0, 0, 8 (bytes), the number of axes, and one 32-bit extent an axis.
cut_idx train-images-idx3-ubyte '\00\00\010\03\00\00\03\0350\00\00\00\034\00\00\00\034' $((1000 * 784)) 16
cut_idx train-labels-idx1-ubyte '\00\00\010\01\00\00\03\0350' 1000 8
cut_idx t10k-images-idx3-ubyte '\00\00\010\03\00\00\00\0310\00\00\00\034\00\00\00\034' $((200 * 784)) 16
cut_idx t10k-labels-idx1-ubyte '\00\00\010\01\00\00\00\0310' 200 8
