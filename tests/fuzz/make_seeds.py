#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: small good files, and some that are bad in known ways.

Usage: python3 tests/fuzz/make_seeds.py       (needs Pillow; rewrites seed_* in tests/fuzz/corpus)
Other files there are inputs that once failed, or that libFuzzer found to reach more code.
"""
import collections
import gzip
import io
import json
import pathlib
import pickle
import struct
import tarfile

from PIL import Image

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
GOLDEN = CORPUS.parent.parent / "golden" / "images"


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed_{name}").write_bytes(data)


def cifar():
    pixels = bytes(i % 251 for i in range(3072))
    write("cifar", "cifar10", b"\0" + b"\3" + pixels)
    write("cifar", "cifar100", b"\1" + b"\7\31" + pixels)
    write("cifar", "label", b"\0" + b"\13" + pixels)
    write("cifar", "short", b"\0" + b"\3" + pixels[:-1])


def coco():
    image = {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}
    box = {"id": 3, "image_id": 1, "category_id": 7, "bbox": [1, 2.5, 30, 40], "area": 1200, "iscrowd": 0,
           "segmentation": [[1, 2, 3, 4, 5, 6]]}
    good = {"info": {"year": 2017}, "images": [image], "annotations": [box, {**box, "iscrowd": 1}],
            "categories": [{"id": 7, "name": "cat"}]}
    text = json.dumps(good).encode()
    write("coco", "good", text)
    write("coco", "cut", text[:-40])
    write("coco", "no_area", json.dumps({**good, "annotations": [{**box, "bbox": [1, 2, 0, 3]}]}).encode())
    write("coco", "outside", json.dumps({**good, "annotations": [{**box, "bbox": [-9, 2, 900, 3]}]}).encode())
    write("coco", "unknown", json.dumps({**good, "annotations": [{**box, "category_id": 8}]}).encode())
    write("coco", "huge", text.replace(b"2.5", b"2.5e300"))
    write("coco", "deep", b'{"x":' + b"[" * 100)


def idx():
    images = struct.pack(">IIII", 0x803, 2, 3, 4) + bytes(range(24))
    labels = struct.pack(">II", 0x801, 2) + b"\1\2"
    pair = lambda a, b: struct.pack(">H", len(a)) + a + b
    write("idx", "plain", pair(images, labels))
    write("idx", "gzip", pair(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)))
    write("idx", "short_gzip", pair(gzip.compress(images, mtime=0)[:-9], labels))
    write("idx", "huge", pair(struct.pack(">IIII", 0x803, 1 << 31, 1 << 31, 1 << 31), labels))


def image():
    for name in ("exif6.jpg", "exif3.jpg"):
        write("image", name, (GOLDEN / name).read_bytes())
    small = Image.open(GOLDEN / "picture.png").crop((0, 0, 19, 17))
    for name, options in {"baseline.jpg": {}, "progressive.jpg": {"progressive": True},
                          "restart.jpg": {"restart_marker_blocks": 1}}.items():
        out = io.BytesIO()
        small.save(out, "JPEG", **options)
        write("image", name, out.getvalue())
        write("image", "cut_" + name, out.getvalue()[:-60])
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        small.convert(mode).save(out, "JPEG")
        write("image", mode + ".jpg", out.getvalue())
    for mode in ("L", "LA", "P", "RGB", "RGBA", "1"):
        out = io.BytesIO()
        small.convert(mode).save(out, "PNG")
        write("image", mode + ".png", out.getvalue())
    out = io.BytesIO()
    small.save(out, "JPEG")
    huge = bytearray(out.getvalue())
    at = huge.index(b"\xff\xc0") + 5
    huge[at:at + 4] = struct.pack(">HH", 30000, 30000)
    write("image", "30000x30000.jpg", bytes(huge))


def tar():
    def packed(members, kind):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as file:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return out.getvalue().rstrip(b"\0") + b"\0" * 1024
    deep = "d" * 120 + "/dog/0.jpg"
    kinds = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for name, kind in kinds.items():
        members = [("cat/0.jpg", b"one"), ("a/1.cls", b"dog\n"), ("a/1.png", b"two")]
        write("tar", name, packed(members + [(deep, b"three")], kind))
    write("tar", "cut", packed([("cat/0.jpg", b"x" * 2000)], tarfile.USTAR_FORMAT)[:1500])


def recipe():
    root = CORPUS.parent.parent.parent / "recipes"
    for name in ("tiny_imagenet_se_resnet18", "cifar10_se_resnet20_fast"):
        text = json.loads((root / f"{name}.json").read_text())
        write("recipe", name, json.dumps(text, separators=(",", ":")).encode())
    write("recipe", "every_kind", json.dumps({
        "model": {"name": "resnet50", "se": {"reduction": [4, 8, 16, 32], "stages": [2, 3]}},
        "data": {"workers": "auto", "on_error": "skip", "image_size": 8, "eval": {"resize": 9},
                 "normalize": {"mean": [0.5], "std": [1]},
                 "augment": {"random_resized_crop": {"scale": [0.1, 1], "ratio": [1, 2]}}},
        "schedule": {"name": "multistep", "milestones": [1, 2.5]}, "threads": 3}).encode())
    write("recipe", "unknown_key", b'{"model":{"name":"x","sse":{}}}')
    write("recipe", "deep", b"[" * 2000 + b"]" * 2000)


def checkpoint():
    def sealed(header, tensors):
        """Length and checksum are put right by the target."""
        text = json.dumps(header, separators=(",", ":")).encode()
        body = b"EXCITON\x1a" + struct.pack("<IIQQ", 1, 0, len(text), 0) + text
        return body.ljust((len(body) + 63) // 64 * 64, b"\0") + tensors
    one = {"name": "model.w", "dtype": "f32", "shape": [2, 3], "offset": 192, "bytes": 24}
    write("checkpoint", "good", sealed({"meta": {"step": 1}, "tensors": [one]}, bytes(24)))
    for key, value in {"offset": 1 << 62, "bytes": 23, "shape": [1 << 40, 1 << 40],
                       "dtype": "f17", "name": 3}.items():
        write("checkpoint", "bad_" + key, sealed({"meta": {}, "tensors": [{**one, key: value}]},
                                                 bytes(24)))


def pickle_seeds():
    """Every protocol of Python's own module, and a batch of CIFAR-10's python version by hand."""
    values = {"labels": [0, 1, 255, 256, 70000, -1, 1 << 40, 1 << 80, True, None, 1.5],
              b"bytes": (b"x", "t\u00e9\U0001f600", bytearray(b"y")), "nested": [[(1,), {2}], {}],
              "frozen": frozenset([1]), "long": "z" * 300}
    values["again"] = values["nested"]
    for protocol in range(6):
        write("pickle", f"protocol{protocol}", pickle.dumps(values, protocol))
    for protocol in range(3):
        write("pickle", f"object{protocol}", pickle.dumps(collections.OrderedDict(w=1), protocol))
    # As Python 2 and an old numpy wrote it.
    data = bytes(range(256)) * 12
    array = (b"cnumpy.core.multiarray\n_reconstruct\nq\1(cnumpy\nndarray\nq\2K\0\x85U\1btR(K\1K\1M\0\x0c\x86"
             b"cnumpy\ndtype\nq\3(U\2u1K\0K\1tR(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T"
             + struct.pack("<I", len(data)) + data + b"tb")
    write("pickle", "cifar", b"\x80\2}q\0(U\4data" + array + b"U\6labels](K\3eu.")
    write("pickle", "system", b"cposix\nsystem\n(S'true'\ntR.")
    write("pickle", "cut", pickle.dumps(values, 2)[:60])
    write("pickle", "marks", b"(" * 5000)
    write("pickle", "twice", b"K\1" + b"2" * 200000 + b".")
    write("pickle", "deep", b"N" + b"\x85" * 50000 + b".")
    write("pickle", "itself", b"]q\0h\0a.")


for make in (cifar, coco, idx, image, tar, recipe, checkpoint, pickle_seeds):
    make()
