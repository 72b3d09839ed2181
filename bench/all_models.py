#!/usr/bin/env python3
"""Trains every listed model for some steps on one batch of random images at its native size, and
prints a table: time of a step beside that of its convolutions alone, memory, first and last loss.

Usage: bench/all_models.py [PROGRAM] [--family imagenet | cifar | --model NAME ...] [--batch N]
                           [--steps 20] [--dtype auto] [--floor] [--markdown | --json]

Exits with 1 when a model fails, its loss does not fall, or it takes more than 24 GiB. --floor adds
the convolution floor (`exciton bench floor`, the median of five). Batches are those below unless
--batch says otherwise. Every model runs in a process of its own, so memory is its own.
"""
import argparse
import json
import subprocess
import sys

MEMORY_MIB = 24 * 1024

# Family by family, the batch for each; every one also with SE, but for senet154, which has its own.
IMAGENET = {"resnet18": 32, "resnet34": 32, "resnet50": 16, "resnet101": 16, "resnet152": 16,
            "resnext50_32x4d": 16, "resnext101_32x4d": 16, "vgg16_bn": 16, "bn_inception": 32,
            "inception_resnet_v2": 16, "mobilenet": 32, "shufflenet": 32}
CIFAR = {"resnet20": 128, "resnet32": 128, "resnet44": 128, "resnet56": 128, "resnet110": 128,
         "resnet164": 128, "preresnet110": 128, "preresnet164": 128, "wrn16_8": 64,
         "shake_shake26_2x96d": 64, "shake_even29_2x4x64d": 32}
FAMILIES = {"imagenet": IMAGENET, "cifar": CIFAR}


def models_of(family):
    for name, batch in FAMILIES[family].items():
        yield name, batch
        yield "se_" + name, batch
    if family == "imagenet":
        yield "senet154", 8


def bench(program, mode, name, batch, steps, o, *more):
    command = [program, "bench", mode, name, "--batch", str(batch), "--dtype", o.dtype, "--json",
               "--steps", str(steps), *more]
    if o.threads:
        command += ["--threads", str(o.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"ended with {done.returncode}")
    return json.loads(done.stdout)


def measure(name, batch, o):
    step = bench(o.program, "train", name, batch, o.steps, o, "--warmup", "2", "--lr", str(o.lr))
    row = {key: step[key] for key in ("model", "batch", "image_size", "dtype", "ms_per_step",
                                      "images_per_second", "peak_rss_mib", "first_loss",
                                      "last_loss")}
    if o.floor:
        floor = bench(o.program, "floor", name, batch, 5, o)
        row["ms_floor"] = floor["ms_total"]
        row["times_floor"] = row["ms_per_step"] / row["ms_floor"]
    row["ok"] = row["last_loss"] < row["first_loss"] and row["peak_rss_mib"] < MEMORY_MIB
    return row


def columns(o):
    yield "model", lambda r: f"`{r['model']}`" if o.markdown else r["model"]
    yield "image", lambda r: f"{r['image_size']}²"
    yield "batch", lambda r: str(r["batch"])
    yield "step, ms", lambda r: f"{r['ms_per_step']:,.0f}"
    if o.floor:
        yield "convolutions alone, ms", lambda r: f"{r['ms_floor']:,.0f}"
        yield "ratio", lambda r: f"{r['times_floor']:.2f}"
    yield "images/s", lambda r: f"{r['images_per_second']:,.1f}"
    yield "peak memory, GiB", lambda r: f"{r['peak_rss_mib'] / 1024:.2f}"
    yield "first loss", lambda r: f"{r['first_loss']:.3f}"
    yield "last loss", lambda r: f"{r['last_loss']:.3f}"


def line(cells, widths, markdown):
    if markdown:
        return "| " + " | ".join(cells) + " |"
    return "  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                     for i, (c, w) in enumerate(zip(cells, widths)))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("program", nargs="?", default="build/release/exciton")
    options.add_argument("--model", action="append", help="only this one; any number of times")
    options.add_argument("--family", choices=FAMILIES, help="only these models")
    options.add_argument("--batch", type=int)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--lr", type=float, default=1e-3)
    options.add_argument("--dtype", default="auto")
    options.add_argument("--threads", type=int)
    options.add_argument("--floor", action="store_true")
    options.add_argument("--markdown", action="store_true")
    options.add_argument("--json", action="store_true")
    o = options.parse_args()
    models = {name: batch for family in ([o.family] if o.family else FAMILIES)
              for name, batch in models_of(family)}
    unknown = [name for name in o.model or [] if name not in models]
    if unknown:
        options.error(f"not in the list: {', '.join(unknown)}")

    parts = list(columns(o))
    widths = [26] + [max(len(title), 7) for title, _ in parts[1:]]
    if not o.json:
        print(line([title for title, _ in parts], widths, o.markdown))
        if o.markdown:
            print(line(["---"] * len(parts), widths, True))
    rows, wrong = [], []
    for name in o.model or models:
        try:
            row = measure(name, o.batch or models[name], o)
        except RuntimeError as error:
            wrong.append(f"{name}: {error}")
            continue
        rows.append(row)
        if not row["ok"]:
            wrong.append(f"{name}: loss {row['first_loss']:.3f} to {row['last_loss']:.3f}, "
                         f"{row['peak_rss_mib']:.0f} MiB")
        if not o.json:
            print(line([show(row) for _, show in parts], widths, o.markdown), flush=True)
    if o.json:
        print(json.dumps(rows))
    for message in wrong:
        print("all_models.py:", message, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
