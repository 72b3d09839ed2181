#!/usr/bin/env bash
# Small stand-ins for the files that README and docs name, in the folder it is called in:
#   scratch.sh ROOT PAGE.md        `exciton` on the path, python3 for the images
set -euo pipefail
root=$1
page=$2

# The recipes, but that CIFAR-10 is a folder, for its own files are known by their sizes, and that
# ImageNet is passed once.
mkdir recipes
for recipe in "$root"/recipes/*.json; do
  sed 's/"kind": "cifar10"/"kind": "auto"/; s/"epochs": 100/"epochs": 1/' "$recipe" \
    >"recipes/${recipe##*/}"
done
mkdir -p build/release
ln -s "$(command -v exciton)" build/release/exciton

python3 - <<'END'
"""Folders of PNG files: 20 + 10 images for CIFAR-10, photos of three kinds, an ImageNet; one photo."""
import os
import random
import struct
import zlib

random.seed(1)


def picture(label, side):
    """Coloured noise around a shade of the class."""
    base = [40 + 20 * label, 220 - 20 * label, 60 + 17 * (label * 3 % 10)]
    return [[[min(255, max(0, b + random.randint(-30, 30))) for b in base] for _ in range(side)]
            for _ in range(side)]


def png(path, rows):
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body +
                struct.pack(">I", zlib.crc32(kind + body)))
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    raw = b"".join(b"\0" + bytes(v for pixel in row for v in pixel) for row in rows)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" +
                   chunk(b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


names = "airplane automobile bird cat deer dog frog horse ship truck".split()
for label, name in enumerate(names):
    for part, images in ("train", 2), ("test", 1):
        for image in range(images):
            png(f"data-cache/cifar10/{part}/{name}/{image}.png", picture(label, 32))
for label, name in enumerate(["cat", "dog", "bird"]):
    for image in range(5):
        png(f"photos/{name}/{image}.png", picture(label, 48))
    for part in "train", "val":
        for image in range(2):
            png(f"imagenet/{part}/{name}/{image}.png", picture(label, 64))
png("photo.jpg", picture(1, 40))  # the name does not matter: the first bytes do
png("my_cat.jpg", picture(1, 40))
END
ln -s photos PHOTOS
ln -s data-cache/cifar10 DIR


exciton train recipes/cifar10_se_resnet20_fast.json --out runs/first
if grep -q runs/imagenet "$page"; then
  exciton train recipes/imagenet_se_resnet18.json --data imagenet --out runs/imagenet
fi
for name in quickstart plain se a b c; do cp -r runs/first "runs/$name"; done
exciton export runs/first --out first.safetensors
mv first.safetensors FILE
if grep -q seresnet50.safetensors "$page"; then
  exciton train recipes/imagenet_se_resnet50.json --set model.pool=padded --set model.stride_on=3x3 \
    --data imagenet --out runs/se_resnet50
  exciton export runs/se_resnet50 --to timm/seresnet50 --out seresnet50.safetensors
fi
