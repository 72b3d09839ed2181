#!/usr/bin/env python3
"""Records optimiser steps and learning rates of PyTorch for tests/optim.

Usage: python3 tests/golden/make_optim_golden.py > tests/golden/optim.json
Made with PyTorch 1.13.1 on the CPU, in double.
"""
import json
import sys

import torch

STEPS = 6


def run(case):
    """Six steps on a [3, 2] weight and a [3] bias along fixed gradients."""
    generator = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    weight = torch.nn.Parameter(draw(3, 2))
    bias = torch.nn.Parameter(draw(3))
    decay, decoupled = case["weight_decay"], case["decoupled"]
    decays = [decay, decay if case["decay_norm_and_bias"] else 0.0]
    sgd = torch.optim.SGD(
        [{"params": [p], "weight_decay": 0.0 if decoupled else d}
         for p, d in zip((weight, bias), decays)],
        lr=case["lr"], momentum=case["momentum"], nesterov=case["nesterov"])
    out = {**case, "weight": [weight.detach().flatten().tolist()],
           "bias": [bias.detach().tolist()], "weight_grad": [], "bias_grad": []}
    for step in range(STEPS):
        lr = case["lr"] * (1 - step / STEPS)  # a changing rate: momentum must not contain it
        for group in sgd.param_groups:
            group["lr"] = lr
        weight.grad, bias.grad = draw(3, 2), draw(3)
        out["weight_grad"].append(weight.grad.flatten().tolist())
        out["bias_grad"].append(bias.grad.tolist())
        if decoupled:
            with torch.no_grad():
                for p, d in zip((weight, bias), decays):
                    p.mul_(1 - lr * d)
        sgd.step()
        out["weight"].append(weight.detach().flatten().tolist())
        out["bias"].append(bias.detach().tolist())
    return out


def rates(make, steps):
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = make(sgd)
    values = []
    for _ in range(steps):
        values.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    return values


def main():
    cases = [
        dict(lr=0.1, momentum=m, nesterov=n, weight_decay=d, decoupled=k, decay_norm_and_bias=a)
        for m, n in ((0.0, False), (0.9, False), (0.9, True))
        for d, k, a in ((0.0, False, True), (0.05, False, True), (0.05, False, False),
                        (0.05, True, True), (0.05, True, False))
    ]
    lr = torch.optim.lr_scheduler
    epoch, epochs = 7, 6  # steps an epoch, epochs
    total = epoch * epochs
    schedules = {
        "steps_per_epoch": epoch,
        "total_steps": total,
        "step": rates(lambda o: lr.StepLR(o, 2 * epoch, gamma=0.1), total),
        "multistep": rates(lambda o: lr.MultiStepLR(o, [10, 4 * epoch], gamma=0.2), total),
        "cosine": rates(lambda o: lr.CosineAnnealingLR(o, total, eta_min=0.01), total),
        "warmup": rates(lambda o: lr.LinearLR(o, 0.25, 1.0, 8), total),
    }
    json.dump({"sgd": [run(c) for c in cases], "schedules": schedules}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
