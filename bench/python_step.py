#!/usr/bin/env python3
"""The training step of `exciton bench train`, written in Python; run by turns with the program:

    PYTHONPATH=build/release/python bench/python_step.py build/release/exciton [MODEL] [BATCH] [STEPS] [ROUNDS]
"""
import json
import statistics
import subprocess
import sys
import time

import numpy as np

import exciton

program, model, batch, steps, rounds = (sys.argv[1:] + ["se_resnet20", "128", "20", "5"][len(sys.argv) - 2:])[:5]
batch, steps, rounds = int(batch), int(steps), int(rounds)


def python_ms() -> float:
    net = exciton.models.make(model).train()
    sgd = exciton.optim.SGD(net, lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = exciton.randn([batch, 32, 32, 3], generator=exciton.Generator(1))
    labels = np.random.default_rng(1).integers(0, 10, batch)
    times = []
    for _ in range(3 + steps):
        start = time.perf_counter()
        with exciton.Tape() as tape:
            loss = exciton.ops.cross_entropy(net(images), labels)
            loss.item()
            tape.backward(loss)
        sgd.step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def program_ms() -> float:
    out = subprocess.run([program, "bench", "train", model, "--batch", str(batch), "--steps", str(steps), "--json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["ms_per_step"]


ratios = []
for _ in range(rounds):
    own, theirs = python_ms(), program_ms()
    ratios.append(own / theirs)
    print(f"Python {own:.2f} ms, the program {theirs:.2f} ms: {100 * (own / theirs - 1):+.1f} %", flush=True)
print(f"median {100 * (statistics.median(ratios) - 1):+.1f} %")
