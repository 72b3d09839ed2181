#!/usr/bin/env python3
"""Decoding with a random resized crop to 224 x 224: this program beside Pillow, on one core each.

Usage: python3 bench/compare_pillow.py FOLDER [--exciton build/release/exciton] [--rounds 5]
FOLDER holds JPEG files. Both read files from the system's cache, take crops of the same
distribution, and use a triangle filter. Rounds alternate between the two and the best of each
counts; images per second are by processor time, so that other programs disturb little. Needs Pillow
(Debian: python3-pil).
"""
import argparse
import json
import math
import pathlib
import random
import subprocess
import time

from PIL import Image

SIDE = 224


def random_box(width, height):
    """Area 8 to 100 %, width / height 3/4 to 4/3, log-uniform; after ten misses all of it."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def pillow_rate(files):
    start = time.process_time()
    for file in files:
        image = Image.open(file).convert("RGB")
        image.resize((SIDE, SIDE), Image.BILINEAR, box=random_box(*image.size))
    return len(files) / (time.process_time() - start)


def exciton_rate(exciton, folder, count):
    command = [exciton, "bench", "data", str(folder), "--size", str(SIDE), "--images", str(count),
               "--threads", "1", "--json"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    stages = result["stages"]
    return 1e3 / sum(stages[name]["cpu_ms_per_image"] for name in ("read", "decode"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--exciton", default="build/release/exciton")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = sorted(f for f in options.folder.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
    random.seed(1)
    pillow_rate(files[:50])
    best = {"pillow": 0.0, "exciton": 0.0}
    for _ in range(options.rounds):
        best["pillow"] = max(best["pillow"], pillow_rate(files))
        best["exciton"] = max(best["exciton"],
                              exciton_rate(options.exciton, options.folder, len(files)))
    for name, rate in best.items():
        print(f"{name:8} {rate:7.0f} images/s per core")
    print(f"ratio    {best['exciton'] / best['pillow']:7.2f}")


if __name__ == "__main__":
    main()
