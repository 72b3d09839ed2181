#!/usr/bin/env python3
"""What a training step would take on many machines, from one that is here.

  bench/predict_machines.py PROGRAM [--gbit 10] [--latency-ms 0.1] [--message-us 10]
                            [--machines 1,2,4,...] [--json]
                            [MODEL:BATCH[:DTYPE] ...]

BATCH is each machine's. The time of a step on one machine is measured; gradients are 4 bytes a
parameter. With P machines every one sends and receives 2 (P - 1) / P of them. They travel in buckets
of 1 MiB, of which each costs a latency out and one back; all but the last can travel while
backward, two thirds of a step, is still at work. A bucket is 2 (P - 1) messages to send, each of which
costs the processor some microseconds (an estimate, 10) that no backward hides. So

  exchange = 2 (P - 1) / P bytes / bandwidth + 2 latency buckets
  exposed  = max(exchange / buckets, exchange - 2/3 step) + 2 (P - 1) buckets message
  time     = step + exposed,  efficiency = step / time
"""
import argparse
import json
import math
import subprocess

BUCKET = 1 << 20


def run(*words):
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", nargs="*",
                        default=["se_resnet20:128:bf16", "se_resnet50:16:bf16", "senet154:4:bf16"])
    parser.add_argument("--gbit", type=float, default=10)
    parser.add_argument("--latency-ms", type=float, default=0.1)
    parser.add_argument("--message-us", type=float, default=10)
    parser.add_argument("--machines", default="1,2,4,8,16,32,64,128,256")
    parser.add_argument("--steps", default="5")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    machines = [int(n) for n in args.machines.split(",")]
    rows = []
    for spec in args.models:
        model, batch, dtype = (spec.split(":") + ["f32"])[:3]
        step = run(args.program, "bench", "train", model, "--batch", batch, "--dtype", dtype, "--steps",
                   args.steps, "--json")["ms_per_step"]
        size = 4 * run(args.program, "summary", model, "--json")["parameters"]
        buckets = math.ceil(size / BUCKET)
        for p in machines:
            exchange = exposed = 0.0
            if p > 1:
                exchange = (2 * (p - 1) / p * size / (args.gbit * 1e9 / 8) * 1e3 +
                            2 * args.latency_ms * buckets)
                exposed = (max(exchange / buckets, exchange - 2 / 3 * step) +
                           2 * (p - 1) * buckets * args.message_us / 1e3)
            rows.append({"model": model, "batch": int(batch), "dtype": dtype, "machines": p,
                         "ms_step": step, "megabytes": size / 1e6, "ms_exchange": exchange,
                         "ms_exposed": exposed, "efficiency": step / (step + exposed)})
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("| network, batch a machine | gradients | step alone | " +
          " | ".join(str(p) for p in machines) + " |")
    print("|" + " --- |" * (3 + len(machines)))
    for spec in args.models:
        model = spec.split(":")[0]
        own = [r for r in rows if r["model"] == model]
        print(f"| {model}, {own[0]['batch']}, {own[0]['dtype']} | {own[0]['megabytes']:.1f} MB | "
              f"{own[0]['ms_step']:.0f} ms | " +
              " | ".join(f"{100 * r['efficiency']:.0f} %" for r in own) + " |")


if __name__ == "__main__":
    main()
