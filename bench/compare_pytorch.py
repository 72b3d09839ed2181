#!/usr/bin/env python3
"""Runs `exciton bench` and PyTorch side by side, alternating, and prints the ratios.

    bench/compare_pytorch.py build/release/exciton
    bench/compare_pytorch.py build/release/exciton --case train,se_resnet20,128,f32 --rounds 5
    bench/compare_pytorch.py build/release/exciton --python python3 --compile --untuned \\
        --python 'chroot /srv/trixie python3'
    bench/compare_pytorch.py build/release/exciton --markdown > table.md

Every round runs every case once, ours and theirs in turn on the same cores in the same minutes, so a
ratio holds where absolute times drift; a ratio is the median of the rounds' ratios. The peer of a row is
the fastest of PyTorch's variants: of each --python (any command that runs a Python with torch; one in
another root gets the script through its standard input, and wants /proc mounted there), for a bf16 case
f32 and bf16 (channels-last, autocast), with --compile also torch.compile. A variant that crashes, or
whose numbers are wrong (bench/torch_step.py checks), is named and does not count. The C library is told
to keep freed memory; --untuned has a column for PyTorch without that, as most run it. Memory is held
against PyTorch's in the same type. Training cases also get the step's time over the sum of the
convolution primitives alone (`exciton bench floor`). Where both se_NAME and NAME are among the cases, a
second table gives the time of SE over plain; a third, with --scaling, two threads over one. --set goes
to `exciton bench`.
Wants a Python with PyTorch (Debian: python3-torch, and libopenblas0 beside it: with the reference BLAS
its sums over millions of rows are off).
"""
import argparse
import json
import os
import pathlib
import shlex
import signal
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
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Variant:
    """A Python with PyTorch, and how it runs the network."""

    def __init__(self, python, dtype, compiled, tuned):
        self.python, self.dtype, self.compiled, self.tuned = python, dtype, compiled, tuned
        self.runs, self.failed = [], ""

    def name(self):
        version = self.runs[0]["torch"].split("+")[0] if self.runs else self.python
        return f"{version} {self.dtype}" + (" compiled" if self.compiled else "")

    def round(self, arguments):
        """Runs torch_step.py once more, unless it has failed."""
        if self.failed:
            return
        command = [*shlex.split(self.python), "-", *map(str, arguments)]
        command += ["--compile"] if self.compiled else []
        with open(HERE / "torch_step.py") as script:
            done = subprocess.run(command, stdin=script, capture_output=True, text=True,
                                  env={**(KEEP_MEMORY if self.tuned else {}), **os.environ})
        if done.returncode < 0 or done.returncode > 128:
            number = -done.returncode if done.returncode < 0 else done.returncode - 128
            self.failed = f"crashed ({signal.Signals(number).name})"
        elif done.returncode != 0:
            self.failed = (done.stderr.strip().splitlines() or ["failed"])[-1][:120]
        else:
            result = json.loads(done.stdout.strip().splitlines()[-1])
            self.failed = result["doubts"]
            self.runs.append(result)


class Case:
    """One network in one mode, batch and type, and what the rounds measured of it."""

    def __init__(self, text, args):
        self.text = text
        fields = text.split(",")
        if len(fields) != 4 or fields[0] not in ("train", "infer"):
            sys.exit(f"case {text}: wants MODE,MODEL,BATCH,DTYPE, e.g. {DEFAULT_CASES[0]}")
        self.mode, self.model, self.batch, self.dtype = fields
        self.ours, self.floors = [], []
        self.variants = [Variant(python, dtype, compiled, tuned)
                         for python in args.python or [sys.executable]
                         for dtype in (("f32", "bf16") if self.dtype == "bf16" else ("f32",))
                         for compiled in ((False, True) if args.compile else (False,))
                         for tuned in ((True, False) if args.untuned else (True,))]

    def arguments(self, dtype, threads, steps, mode=None):
        return [mode or self.mode, self.model, "--batch", self.batch, "--dtype", dtype,
                "--threads", threads, "--steps", steps]

    def round(self, args):
        program = [args.exciton, "bench"]
        own = [word for value in args.set or [] for word in ("--set", value)] + ["--json"]
        self.ours.append(run([*program, *self.arguments(self.dtype, args.threads, args.steps), *own]))
        for variant in self.variants:
            variant.round(self.arguments(variant.dtype, args.threads, args.steps))
        if self.mode == "train":
            floor = self.arguments(self.dtype, args.threads, args.steps, "floor")
            self.floors.append(run([*program, *floor, *own]))

    def best(self, tuned=True, dtype=None):
        """PyTorch's fastest variant, by its median; None where all have failed."""
        tried = [v for v in self.variants
                 if not v.failed and v.tuned == tuned and dtype in (None, v.dtype)]
        return max(tried, key=lambda v: middle(v.runs, "images_per_second"), default=None)

    def ratios(self, variant):
        return [a["images_per_second"] / b["images_per_second"]
                for a, b in zip(self.ours, variant.runs)]

    def row(self):
        best, untuned, same = self.best(), self.best(tuned=False), self.best(dtype=self.dtype)
        over_floor = [a["ms_per_step"] / b["ms_total"] for a, b in zip(self.ours, self.floors)]
        ratio_bar, floor_bar = BARS.get(self.text, (None, None))
        memory = middle(self.ours, "peak_rss_mib")
        their_memory = middle(same.runs, "peak_rss_mib") if same else None
        theirs = f"{middle(best.runs, 'images_per_second'):.0f} ({best.name()})" if best else "none"
        return [self.text, f"{middle(self.ours, 'images_per_second'):.0f}", theirs,
                spread(self.ratios(best)) if best else "",
                spread(self.ratios(untuned)) if untuned else "",
                f"{ratio_bar}" if ratio_bar else "",
                f"{statistics.median(over_floor):.2f}" if over_floor else "",
                f"{floor_bar}" if floor_bar else "",
                f"{memory:.0f}", f"{their_memory:.0f}" if same else "",
                f"{memory / their_memory:.2f}" if same else ""]


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
    parser.add_argument("--python", action="append", metavar="COMMAND",
                        help="runs a Python that imports torch; may be repeated; default: this one")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--untuned", action="store_true",
                        help="also without telling PyTorch's C library to keep freed memory")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE",
                        help="a model option of ours, as winograd=bf16; may be repeated")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()

    cases = [Case(text, args) for text in args.case or DEFAULT_CASES]
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
    print_table(["case", "exciton images/s", "PyTorch images/s", "ratio (min to max)",
                 "over untuned", "bar",
                 "step / floor", "bar", "exciton MiB", "PyTorch MiB", "memory ratio"],
                [case.row() for case in cases], args.markdown)

    failures = [[case.text, v.name(), v.failed] for case in cases for v in case.variants if v.failed]
    if failures:
        print_table(["case", "PyTorch that does not count", "why"], failures, args.markdown)

    pairs = []
    for se in cases:
        for plain in cases:
            if se.text == plain.text.replace(f",{plain.model},", f",se_{plain.model},"):
                ratios = [a["ms_per_step"] / b["ms_per_step"]
                          for a, b in zip(se.ours, plain.ours)]
                theirs = [[a["ms_per_step"] / b["ms_per_step"] for a, b in zip(v.runs, w.runs)]
                          for v, w in zip(se.variants, plain.variants)
                          if v is se.best(dtype=se.dtype) and not w.failed]
                pairs.append([se.text, spread(ratios), "1.03", spread(theirs[0]) if theirs else ""])
    if pairs:
        print_table(["time of SE over plain", "exciton", "bar", "PyTorch"], pairs, args.markdown)
    if one_thread:
        ratios = [a["images_per_second"] / b["images_per_second"]
                  for a, b in zip(first.ours, one_thread)]
        print_table([f"{args.threads} threads over 1", "exciton"], [[first.text, spread(ratios)]],
                    args.markdown)


if __name__ == "__main__":
    main()
