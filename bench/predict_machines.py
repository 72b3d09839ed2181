#!/usr/bin/env python3
"""What a training step would take on many machines, from one that is here.

  bench/predict_machines.py PROGRAM [--gbit 10] [--latency-ms 0.1] [--message-us 5.5]
                            [--megabyte-ms 0.57] [--machines 1,2,4,...] [--json]
                            [MODEL:BATCH[:DTYPE] ...]
  bench/predict_machines.py PROGRAM --check RANKS [--pairs 3] [--steps 5] [--gbit 10] ...

BATCH is each machine's. `PROGRAM bench train --departures` measures a step on one machine, when each
bucket of its gradients would set out, and when the tape lets messages move on. With P machines

  processor = messages 2 (P - 1) buckets message_us + megabytes out and in megabyte_ms
  step'     = step + processor; buckets set out that much later, too, in proportion
  link      a bucket occupies it for (P - 1) / P of its bytes twice: once when it sets out, and again, as
            sums, when all of it has come, a latency after its last bit left, and the tape next looks;
            one after another, in the order in which they are there
  time      = step' + (when the last sum has come - when backward has ended)
              + 2 latencies of the two counts that every step sums
  efficiency = step / time

and the least number of machines that are below 90 % is sought by halving. message_us and megabyte_ms
are what `mpirun -n 2 --mca pml ob1 --mca btl self,tcp PROGRAM bench messages` says of TCP within one
machine.

With --check the model is held against as many ranks on this machine, one thread each, with links that
EXCITON_LINK emulates: pairs of runs without and with it in turn, and their medians. The step is that of
the ranks without it, which has what messages cost the processor.
"""
import argparse
import bisect
import heapq
import json
import os
import statistics
import subprocess


def run(*words, **environment):
    out = subprocess.run(words, check=True, capture_output=True, text=True,
                         env={**os.environ, **environment}).stdout
    return json.loads(out)


def exposed(departures, ranks, step, gbit, latency_ms):
    """Milliseconds from the end of backward until the last sum is there, in a step that takes `step`."""
    scale = step / departures["ms_step"]
    looks = [scale * t for t in departures["looks"]]
    ended = scale * departures["ms_backward_end"]
    there = [(scale * t, i, 1) for i, t in enumerate(departures["ms"])]
    heapq.heapify(there)
    free = last = 0.0
    while there:
        now, bucket, leg = heapq.heappop(there)
        share = (ranks - 1) / ranks * departures["bytes"][bucket]
        free = max(now, free) + share * 8 / (gbit * 1e6)
        arrived = free + latency_ms
        if leg == 2:
            last = max(last, arrived)
            continue
        look = bisect.bisect_left(looks, arrived)
        heapq.heappush(there, (looks[look] if look < len(looks) else max(arrived, ended), bucket, 2))
    return max(0.0, last - ended) + 2 * latency_ms


def on_machines(ranks, step, departures, args):
    """A step of `ranks` machines: what it costs the processor more, and what it waits."""
    if ranks == 1:
        return 0.0, 0.0
    megabytes = 2 * (ranks - 1) / ranks * sum(departures["bytes"]) / 1e6
    processor = (2 * (ranks - 1) * len(departures["bytes"]) * args.message_us / 1e3 +
                 megabytes * args.megabyte_ms)
    return processor, exposed(departures, ranks, step + processor, args.gbit, args.latency_ms)


def efficiency(ranks, step, departures, args):
    return step / (step + sum(on_machines(ranks, step, departures, args)))


def first_below(bar, step, departures, args, most=1 << 16):
    """The least number of machines whose efficiency is below `bar`, None where `most` is not."""
    high = 2
    while efficiency(high, step, departures, args) >= bar:
        if high >= most:
            return None
        high *= 2
    low = high // 2  # not below
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if efficiency(middle, step, departures, args) < bar else (middle, high)
    return high


def check(spec, args):
    model, batch, dtype = spec
    alone = run(args.program, "bench", "train", model, "--batch", batch, "--dtype", dtype, "--threads", "1",
                "--steps", "1", "--warmup", "1", "--departures", "--json")["departures"]
    link = f"{args.gbit:g}Gbit/s,{args.latency_ms:g}ms"
    ranks = lambda **environment: run(
        "mpirun", "-n", str(args.check), args.program, "bench", "train", model, "--batch",
        str(args.check * int(batch)), "--dtype", dtype, "--threads", "1", "--steps", args.steps, "--warmup",
        "1", "--json", **environment)
    plain, linked = [], []
    for _ in range(args.pairs):
        plain.append(ranks())
        linked.append(ranks(EXCITON_LINK=link))
    base = statistics.median(r["ms_per_step"] for r in plain)
    measured = statistics.median(r["ms_per_step"] for r in linked)
    predicted = base + exposed(alone, args.check, base, args.gbit, args.latency_ms)
    return {"model": model, "batch": int(batch), "dtype": dtype, "ranks": args.check, "gbit": args.gbit,
            "latency_ms": args.latency_ms, "ms_without": base, "ms_predicted": predicted,
            "ms_measured": measured, "ratio": measured / predicted,
            "ms_without_all": [r["ms_per_step"] for r in plain],
            "ms_measured_all": [r["ms_per_step"] for r in linked],
            "ms_exposed_all": [r["ms_exposed"] for r in linked]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("models", nargs="*",
                        default=["se_resnet20:128:bf16", "se_resnet50:16:bf16", "senet154:4:bf16"])
    parser.add_argument("--gbit", type=float, default=10)
    parser.add_argument("--latency-ms", type=float, default=0.1)
    parser.add_argument("--message-us", type=float, default=5.5)
    parser.add_argument("--megabyte-ms", type=float, default=0.57)
    parser.add_argument("--machines", default="1,2,4,8,16,32,64,128,256")
    parser.add_argument("--steps", default="5")
    parser.add_argument("--check", type=int, default=0, metavar="RANKS")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_intermixed_args()
    machines = [int(n) for n in args.machines.split(",")]
    specs = [(spec.split(":") + ["f32"])[:3] for spec in args.models]
    if args.check:
        rows = [check(spec, args) for spec in specs]
        if args.json:
            print(json.dumps(rows, indent=2))
            return
        print(f"| network, batch a rank | ranks | link | without | predicted | measured | ratio |")
        print("|" + " --- |" * 7)
        for r in rows:
            print(f"| {r['model']}, {r['batch']}, {r['dtype']} | {r['ranks']} | {r['gbit']:g} Gbit/s, "
                  f"{r['latency_ms']:g} ms | {r['ms_without']:.0f} ms | {r['ms_predicted']:.0f} ms | "
                  f"{r['ms_measured']:.0f} ms | {r['ratio']:.2f} |")
        return
    rows, below = [], {}
    for spec in specs:
        model, batch, dtype = spec
        alone = run(args.program, "bench", "train", model, "--batch", batch, "--dtype", dtype, "--steps",
                    args.steps, "--departures", "--json")
        step, departures = alone["ms_per_step"], alone["departures"]
        below[model] = first_below(0.9, step, departures, args)
        for p in machines:
            processor, waits = on_machines(p, step, departures, args)
            rows.append({"model": model, "batch": int(batch), "dtype": dtype, "machines": p,
                         "ms_step": step, "megabytes": sum(departures["bytes"]) / 1e6,
                         "ms_processor": processor, "ms_exposed": waits,
                         "efficiency": step / (step + processor + waits), "below_90_from": below[model]})
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("| network, batch a machine | gradients | step alone | " +
          " | ".join(str(p) for p in machines) + " | below 90 % from |")
    print("|" + " --- |" * (4 + len(machines)))
    for model, batch, dtype in specs:
        own = [r for r in rows if r["model"] == model]
        print(f"| {model}, {batch}, {dtype} | {own[0]['megabytes']:.1f} MB | "
              f"{own[0]['ms_step']:.0f} ms | " +
              " | ".join(f"{100 * r['efficiency']:.0f} %" for r in own) +
              f" | {below[model] or 'more than 65536'} |")


if __name__ == "__main__":
    main()
