#!/usr/bin/env python3
"""Records what Pillow makes of images, for tests/data.

Usage: python3 tests/golden/make_image_golden.py tests/golden/images
Made with Pillow 9.4.0 (libjpeg-turbo 2.1.5) and numpy 1.24.2.
"""
import pathlib
import sys

import numpy
from PIL import Image


def picture(height, width):
    """Waves, an edge and some noise, in three different channels."""
    y, x = numpy.mgrid[0:height, 0:width]
    noise = numpy.random.default_rng(5).integers(-20, 21, (height, width, 3))
    waves = numpy.stack([100 + 80 * numpy.sin(x / 5), 120 + 90 * numpy.cos(y / 4 + x / 9),
                         40 + 3 * x], axis=2)
    waves[height // 3:, : width // 4] += 60
    return Image.fromarray(numpy.clip(waves + noise, 0, 255).astype(numpy.uint8))


def resizes(image):
    """Name -> image: resized with an antialiased triangle filter, whole and in part."""
    whole = lambda height, width: image.resize((width, height), Image.BILINEAR)
    part = lambda height, width, box: image.resize((width, height), Image.BILINEAR, box=box)
    shorter = whole(20, 20 * image.width // image.height)
    left, top = (shorter.width - 16) // 2, (shorter.height - 16) // 2
    return {
        "half": whole(23, 30), "small": whole(5, 7), "wide": whole(11, 90), "large": whole(80, 130),
        "part": part(16, 16, (3.25, 5.5, 40.75, 31.0)),
        "part_large": part(32, 40, (20.0, 11.0, 29.5, 19.25)),
        "centre": shorter.crop((left, top, left + 16, top + 16)),
    }


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    image = picture(47, 61)
    image.save(folder / "picture.png", optimize=True)
    for name, result in resizes(image).items():
        result.save(folder / f"resize_{name}.png", optimize=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
