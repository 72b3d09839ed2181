#!/usr/bin/env python3
"""Prints the table of docs/models.md, or renews it there.

Usage: python3 scripts/make_model_table.py [--program build/release/exciton] [--write]
Every row is what `exciton summary MODEL --json` says, at the model's native size.
"""
import argparse
import json
import pathlib
import subprocess

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- table: scripts/make_model_table.py -->\n", "<!-- end of table -->\n"
IMAGENET = ("resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x4d "
            "vgg16_bn bn_inception inception_resnet_v2 mobilenet shufflenet").split()
CIFAR = ("resnet20 resnet32 resnet44 resnet56 resnet110 resnet164 preresnet110 preresnet164 wrn16_8 "
         "shake_shake26_2x96d shake_even29_2x4x64d").split()


def summary(program, name, *settings):
    command = [program, "summary", name, "--json"]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def millions(n):
    return f"{n / 1e6:,.1f}"


def rows(program):
    yield "| model | image | parameters | multiply-adds, M | with SE | without its biases | multiply-adds, M |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in IMAGENET + ["senet154"] + CIFAR:
        plain = None if name == "senet154" else summary(program, name)
        se_name = name if name == "senet154" else "se_" + name
        se, lean = summary(program, se_name), summary(program, se_name, "se.bias=false")
        if not se:
            continue  # not in this build
        left = (f"{plain['parameters']:,} | {millions(plain['multiply_adds'])}" if plain else "- | -")
        yield (f"| `{name}` | {se['image_size']}² | {left} | {se['parameters']:,} "
               f"| {lean['parameters']:,} | {millions(se['multiply_adds'])} |")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default="build/release/exciton")
    options.add_argument("--write", action="store_true")
    o = options.parse_args()
    table = "\n".join(rows(o.program)) + "\n"
    if not o.write:
        print(table, end="")
        return
    text = DOCUMENT.read_text()
    head, rest = text.split(BEGIN)
    DOCUMENT.write_text(head + BEGIN + table + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
