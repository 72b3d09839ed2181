#!/usr/bin/env python3
"""Records what Pillow makes of images, for tests/data.

Usage: python3 tests/golden/make_image_golden.py tests/golden/images
Made with Pillow 9.4.0 (libjpeg-turbo 2.1.5) and numpy 1.24.2.
"""
import pathlib
import sys

import numpy
from PIL import Image, ImageEnhance, ImageOps


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


def jpegs(folder, image):
    """JPEG files of all kinds, each beside what Pillow decodes from it, upright and as RGB."""
    exif = lambda turn: (lambda e: (e.__setitem__(0x0112, turn), e)[1])(Image.Exif())
    kinds = {"baseline": (image, {}), "progressive": (image, {"progressive": True}),
             "full_chroma": (image, {"subsampling": 0}), "grey": (image.convert("L"), {}),
             "cmyk": (image.convert("CMYK"), {"quality": 95})}
    small = image.crop((0, 0, 21, 13))
    for turn in range(1, 9):
        kinds[f"exif{turn}"] = (small, {"exif": exif(turn), "subsampling": 0})
    for name, (picture, options) in kinds.items():
        file = folder / f"{name}.jpg"
        picture.save(file, quality=options.pop("quality", 85), **options)
        decoded = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        decoded.save(folder / f"{name}.png", optimize=True)


def operations(image):
    """Name -> image: one operation on all pixels."""
    fill = (10, 200, 90)
    affine = lambda *m: image.transform(image.size, Image.AFFINE, m, Image.BILINEAR, fillcolor=fill)
    hsv = numpy.array(image.convert("HSV"))
    hsv[..., 0] += 51  # a fifth of the circle
    return {
        "brightness": ImageEnhance.Brightness(image).enhance(1.4),
        "contrast": ImageEnhance.Contrast(image).enhance(0.6),
        "saturation": ImageEnhance.Color(image).enhance(1.7),
        "sharpness": ImageEnhance.Sharpness(image).enhance(1.8),
        "hue": Image.fromarray(hsv, "HSV").convert("RGB"),
        "posterize": ImageOps.posterize(image, 3), "solarize": ImageOps.solarize(image, 130),
        "stretch": ImageOps.autocontrast(ImageEnhance.Contrast(image).enhance(0.5)),
        "equalize": ImageOps.equalize(image),
        "rotate": image.rotate(10, Image.BILINEAR, fillcolor=fill),
        "shear": affine(1, 0.3, 0, 0, 1, 0), "shift": affine(1, 0, 0, 0, 1, -7.25),
    }


def formats(folder):
    """One small picture in every format that is read, each losslessly, beside its pixels as PNG."""
    y, x = numpy.mgrid[0:7, 0:11]
    rgb = Image.fromarray(numpy.stack([x * 23, y * 36, (x * 7 + y * 5) % 256], 2).astype("uint8"))
    palette, grey = rgb.quantize(16), rgb.convert("L")
    rgb.save(folder / "formats.png")
    palette.convert("RGB").save(folder / "formats_palette.png")
    grey.save(folder / "formats_grey.png")
    rgb.save(folder / "formats.webp", lossless=True)
    rgb.save(folder / "formats.tif", compression="tiff_lzw")
    for name in ("bmp", "ppm"):
        rgb.save(folder / f"formats.{name}")
    for name in ("gif", "bmp"):
        palette.save(folder / f"formats_palette.{name}")
    for name in ("pgm", "tif"):
        grey.save(folder / f"formats_grey.{name}")
    exif = Image.Exif()
    exif[0x112] = 6
    rgb.save(folder / "formats_exif6.png", exif=exif)
    rgb.save(folder / "formats_exif6.webp", lossless=True, exif=exif)
    turned = ImageOps.exif_transpose(Image.open(folder / "formats_exif6.png"))
    turned.save(folder / "formats_turned.png")


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    image = picture(47, 61)
    image.save(folder / "picture.png", optimize=True)
    for name, result in resizes(image).items():
        result.save(folder / f"resize_{name}.png", optimize=True)
    jpegs(folder, image)
    formats(folder)
    for name, result in operations(image.crop((0, 0, 40, 30))).items():
        result.save(folder / f"op_{name}.png", optimize=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
