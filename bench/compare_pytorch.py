#!/usr/bin/env python3
"""Runs `exciton bench` and PyTorch side by side, alternating, and prints the ratios.

    bench/compare_pytorch.py build/release/exciton
    bench/compare_pytorch.py build/release/exciton --case train,se_resnet20,128,f32 --rounds 5
    bench/compare_pytorch.py build/release/exciton --markdown > table.md

Every round runs every case once, ours and theirs in turn on the same cores in the same minutes, so
a ratio holds where absolute times drift; a ratio is the median of the rounds' ratios. A bf16 case is
held against the better of PyTorch's f32 and bf16 (channels-last, autocast); its memory against
PyTorch's in bf16. Training cases also get the step's time over the sum of the convolution
primitives alone (`exciton bench floor`). Where both se_NAME and NAME are among the cases, a second
table gives the time of SE over plain; a third, with --scaling, two threads over one.
Wants a Python with PyTorch (Debian: python3-torch).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# What this project wants to reach, as (case, images/s over PyTorch's best, step over the floor).
BARS = {
    "train,se_resnet20,128,bf16": (3.5, 1.6),
    "train,se_resnet20,128,f32": (1.8, None),
    "train,se_resnet110,128,bf16": (3.3, None),
    "train,se_resnet50,16,bf16": (2.6, 1.45),
}
DEFAULT_CASES = [
    "train,se_resnet20,128,bf16", "train,resnet20,128,bf16",
    "train,se_resnet20,128,f32", "train,resnet20,128,f32",
    "train,se_resnet110,128,bf16",
    "train,se_resnet50,16,bf16", "train,resnet50,16,bf16",
    "infer,se_resnet50,1,bf16", "infer,resnet50,1,bf16",
    "infer,se_resnet50,1,f32", "infer,resnet50,1,f32",
]


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


# PyTorch frees and maps its feature maps anew every step unless the C library is told to keep them,
# and then takes up to 2.5 times as long (a matter of chance in the heap's layout). The comparison is
# with PyTorch at its best.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}


def run(command):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, env={**KEEP_MEMORY, **os.environ})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Case:
    """One network in one mode, batch and type, and what the rounds measured of it."""

    def __init__(self, text):
        self.text = text
        fields = text.split(",")
        if len(fields) != 4 or fields[0] not in ("train", "infer"):
            sys.exit(f"case {text}: wants MODE,MODEL,BATCH,DTYPE, e.g. {DEFAULT_CASES[0]}")
        self.mode, self.model, self.batch, self.dtype = fields
        self.ours, self.floors, self.theirs = [], [], {"f32": [], "bf16": []}

    def arguments(self, dtype, threads, steps, mode=None):
        return [mode or self.mode, self.model, "--batch", self.batch, "--dtype", dtype,
                "--threads", threads, "--steps", steps]

    def round(self, args):
        program = [args.exciton, "bench"]
        ours = self.arguments(self.dtype, args.threads, args.steps)
        self.ours.append(run([*program, *ours, "--json"]))
        for dtype in ("f32", "bf16") if self.dtype == "bf16" else ("f32",):
            theirs = self.arguments(dtype, args.threads, args.steps)
            self.theirs[dtype].append(run([args.python, HERE / "torch_step.py", *theirs]))
        if self.mode == "train":
            floor = self.arguments(self.dtype, args.threads, args.steps, "floor")
            self.floors.append(run([*program, *floor, "--json"]))

    def best(self):
        """PyTorch's faster type, by its median."""
        tried = [dtype for dtype, runs in self.theirs.items() if runs]
        return max(tried, key=lambda dtype: middle(self.theirs[dtype], "images_per_second"))

    def row(self):
        best = self.best()
        ratios = [a["images_per_second"] / b["images_per_second"]
                  for a, b in zip(self.ours, self.theirs[best])]
        over_floor = [a["ms_per_step"] / b["ms_total"] for a, b in zip(self.ours, self.floors)]
        ratio_bar, floor_bar = BARS.get(self.text, (None, None))
        memory = middle(self.ours, "peak_rss_mib")
        their_memory = middle(self.theirs[self.dtype], "peak_rss_mib")
        return [self.text, f"{middle(self.ours, 'images_per_second'):.0f}",
                f"{middle(self.theirs[best], 'images_per_second'):.0f} ({best})", spread(ratios),
                f"{ratio_bar}" if ratio_bar else "",
                f"{statistics.median(over_floor):.2f}" if over_floor else "",
                f"{floor_bar}" if floor_bar else "",
                f"{memory:.0f}", f"{their_memory:.0f}", f"{memory / their_memory:.2f}"]


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def spread(ratios):
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_table(head, rows, markdown):
    if markdown:
        print("| " + " | ".join(head) + " |")
        print("| " + " | ".join("---" for _ in head) + " |")
        for row in rows:
            print("| " + " | ".join(row) + " |")
    else:
        widths = [max(map(len, column)) for column in zip(head, *rows)]
        for row in [head, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exciton", help="the program, e.g. build/release/exciton")
    parser.add_argument("--case", action="append", metavar="MODE,MODEL,BATCH,DTYPE",
                        help="may be repeated; default: " + " ".join(DEFAULT_CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--scaling", action="store_true",
                        help="also run the first case on one thread")
    parser.add_argument("--python", default=sys.executable, help="a Python that imports torch")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()

    cases = [Case(text) for text in args.case or DEFAULT_CASES]
    first, one_thread = cases[0], []
    for number in range(args.rounds):
        for case in cases:
            case.round(args)
            print(f"# round {number + 1} of {args.rounds}: {case.text}: {case.row()[3]}",
                  file=sys.stderr)
        if args.scaling:
            alone = first.arguments(first.dtype, 1, args.steps)
            one_thread.append(run([args.exciton, "bench", *alone, "--json"]))

    print(f"Processor: {processor()}, {args.threads} threads, {args.rounds} alternating rounds of "
          f"{args.steps} steps\n")
    print_table(["case", "exciton images/s", "PyTorch images/s", "ratio (min to max)", "bar",
                 "step / floor", "bar", "exciton MiB", "PyTorch MiB", "memory ratio"],
                [case.row() for case in cases], args.markdown)

    pairs = []
    for se in cases:
        for plain in cases:
            if se.text == plain.text.replace(f",{plain.model},", f",se_{plain.model},"):
                ratios = [a["ms_per_step"] / b["ms_per_step"]
                          for a, b in zip(se.ours, plain.ours)]
                theirs = [a["ms_per_step"] / b["ms_per_step"]
                          for a, b in zip(se.theirs[se.dtype], plain.theirs[se.dtype])]
                pairs.append([se.text, spread(ratios), "1.03", spread(theirs)])
    if pairs:
        print_table(["time of SE over plain", "exciton", "bar", "PyTorch"], pairs, args.markdown)
    if one_thread:
        ratios = [a["images_per_second"] / b["images_per_second"]
                  for a, b in zip(first.ours, one_thread)]
        print_table([f"{args.threads} threads over 1", "exciton"], [[first.text, spread(ratios)]],
                    args.markdown)


if __name__ == "__main__":
    main()
