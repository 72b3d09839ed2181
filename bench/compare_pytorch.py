#!/usr/bin/env python3
"""Runs `exciton bench` and PyTorch side by side, alternating, and prints the ratios.

    bench/compare_pytorch.py build/release/exciton
    bench/compare_pytorch.py build/release/exciton --case train,se_resnet20,128,f32 --rounds 5
    bench/compare_pytorch.py build/release/exciton --markdown > table.md

Both programs run in turn on the same cores in the same minutes, so the ratio holds where absolute
times drift. Figures are medians over rounds. Wants a Python with PyTorch (Debian: python3-torch).
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_CASES = ["train,se_resnet20,128,f32", "train,resnet20,128,f32"]


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exciton", help="the program, e.g. build/release/exciton")
    parser.add_argument("--case", action="append", metavar="MODE,MODEL,BATCH,DTYPE",
                        help="may be repeated; default: " + " ".join(DEFAULT_CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--python", default=sys.executable, help="a Python that imports torch")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()

    rows = []
    for case in args.case or DEFAULT_CASES:
        mode, model, batch, dtype = case.split(",")
        common = [mode, model, "--batch", batch, "--dtype", dtype, "--threads", str(args.threads),
                  "--steps", str(args.steps)]
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(run([args.exciton, "bench", *common, "--json"]))
            theirs.append(run([args.python, HERE / "torch_step.py", *common]))
        ratios = [a["images_per_second"] / b["images_per_second"] for a, b in zip(ours, theirs)]
        middle = lambda runs, key: statistics.median(r[key] for r in runs)
        rows.append((case, middle(ours, "images_per_second"), middle(theirs, "images_per_second"),
                     statistics.median(ratios), min(ratios), max(ratios),
                     middle(ours, "peak_rss_mib"), middle(theirs, "peak_rss_mib")))
        print(f"# {case}: {rows[-1][3]:.2f}x", file=sys.stderr)

    print(f"Processor: {processor()}, {args.threads} threads, {args.rounds} alternating rounds\n")
    head = ["case", "exciton images/s", "PyTorch images/s", "ratio (min to max)", "exciton MiB",
            "PyTorch MiB"]
    bar = " | " if args.markdown else "  "
    print(("| " if args.markdown else "") + bar.join(head) + (" |" if args.markdown else ""))
    if args.markdown:
        print("| " + " | ".join("---" for _ in head) + " |")
    for case, ours, theirs, ratio, low, high, our_mib, their_mib in rows:
        cells = [case, f"{ours:.0f}", f"{theirs:.0f}", f"{ratio:.2f} ({low:.2f} to {high:.2f})",
                 f"{our_mib:.0f}", f"{their_mib:.0f}"]
        print(("| " if args.markdown else "") + bar.join(cells) + (" |" if args.markdown else ""))


if __name__ == "__main__":
    main()
