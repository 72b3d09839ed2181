#!/usr/bin/env python3
"""Runs `exciton bench infer` and ONNX Runtime side by side, alternating, and prints the ratios.

    npm install onnxruntime-node@1.30.0 --prefix ort --ignore-scripts
    NODE_PATH=ort/node_modules bench/compare_onnxruntime.py build/release/exciton
    ... --case se_resnet50,1 --rounds 5 --dtype bf16

ONNX Runtime runs f32 files that PyTorch (Debian: python3-torch) writes from torch_step.py's
definitions, with batch norm folded by the exporter. Every round runs both programs in turn on the
same cores; a ratio is the median of the rounds' ratios. Where se_NAME and NAME are both among the
cases, the time of SE over plain is printed for both programs.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

from compare_pytorch import middle, print_table, processor, run, spread

HERE = pathlib.Path(__file__).resolve().parent
EXPORT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import torch_step
torch.manual_seed(1)
net, size = torch_step.make(sys.argv[2])
x = torch.randn(int(sys.argv[3]), 3, size, size)
torch.onnx.export(net.eval(), x, sys.argv[4], opset_version=13)
"""


class Case:
    def __init__(self, text, folder, python):
        self.text = text
        self.model, self.batch = text.split(",")
        self.size = 32 if int(self.model.split("resnet")[-1]) in (20, 32, 44, 56, 110) else 224
        self.file = pathlib.Path(folder) / f"{self.model}_{self.batch}.onnx"
        subprocess.run([python, "-c", EXPORT, HERE, self.model, self.batch, self.file], check=True,
                       stdout=subprocess.DEVNULL)
        self.ours, self.theirs = [], []

    def round(self, args):
        common = ["--batch", self.batch, "--threads", args.threads, "--steps", args.steps]
        self.ours.append(run([args.exciton, "bench", "infer", self.model, *common,
                              "--dtype", args.dtype, "--json",
                              *(word for value in args.set for word in ("--set", value))]))
        self.theirs.append(run([args.node, HERE / "onnxruntime_step.js", self.file, *common,
                                "--size", self.size]))

    def row(self):
        ratios = [a["images_per_second"] / b["images_per_second"]
                  for a, b in zip(self.ours, self.theirs)]
        return [f"{self.text},{self.dtype_of_ours()}", f"{middle(self.ours, 'ms_per_step'):.1f}",
                f"{middle(self.theirs, 'ms_per_step'):.1f}", spread(ratios)]

    def dtype_of_ours(self):
        return self.ours[0]["dtype"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exciton", help="the program, e.g. build/release/exciton")
    parser.add_argument("--case", action="append", metavar="MODEL,BATCH",
                        help="may be repeated; default: se_resnet50,1 and resnet50,1")
    parser.add_argument("--dtype", choices=["f32", "bf16", "auto"], default="f32",
                        help="of exciton; ONNX Runtime runs f32")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", default=[],
                        help="of exciton's recipe, e.g. winograd=bf16; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--python", default=sys.executable, help="a Python that imports torch")
    parser.add_argument("--node", default="node")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        cases = [Case(text, folder, args.python)
                 for text in args.case or ["se_resnet50,1", "resnet50,1"]]
        for number in range(args.rounds):
            for case in cases:
                case.round(args)
                print(f"# round {number + 1} of {args.rounds}: {case.text}: {case.row()[3]}",
                      file=sys.stderr)
    print(f"Processor: {processor()}, {args.threads} threads, {args.rounds} alternating rounds of "
          f"{args.steps} steps\n")
    print_table(["inference", "exciton ms", "ONNX Runtime ms", "ratio (min to max)"],
                [case.row() for case in cases], args.markdown)
    pairs = []
    for se in cases:
        for plain in cases:
            if se.text == f"se_{plain.text}":
                times = [[a["ms_per_step"] / b["ms_per_step"] for a, b in zip(x, y)]
                         for x, y in ((se.ours, plain.ours), (se.theirs, plain.theirs))]
                pairs.append([se.text, spread(times[0]), spread(times[1])])
    if pairs:
        print_table(["time of SE over plain", "exciton", "ONNX Runtime"], pairs, args.markdown)


if __name__ == "__main__":
    main()
