#!/usr/bin/env python3
"""Records optimiser steps and learning rates of PyTorch for tests/optim.

Usage: python3 tests/golden/make_optim_golden.py > tests/golden/optim.json
Made with PyTorch 1.13.1 on the CPU, in double.
"""
import json
import sys

import torch

STEPS = 6


def run(case, make):
    """Six steps on a [3, 2] weight and a [3] bias along fixed gradients, by the optimiser that
    make(case, weight, bias) returns. It may come with a function of the rate to call before a step."""
    generator = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    weight = torch.nn.Parameter(draw(3, 2))
    bias = torch.nn.Parameter(draw(3))
    optimizer, before_step = make(case, weight, bias)
    out = {**case, "weight": [weight.detach().flatten().tolist()],
           "bias": [bias.detach().tolist()], "weight_grad": [], "bias_grad": []}
    for step in range(STEPS):
        lr = case["lr"] * (1 - step / STEPS)  # a changing rate: momentum must not contain it
        for group in optimizer.param_groups:
            group["lr"] = lr
        weight.grad, bias.grad = draw(3, 2), draw(3)
        out["weight_grad"].append(weight.grad.flatten().tolist())
        out["bias_grad"].append(bias.grad.tolist())
        before_step(lr)
        optimizer.step()
        out["weight"].append(weight.detach().flatten().tolist())
        out["bias"].append(bias.detach().tolist())
    return out


def decays_of(case):
    decay = case["weight_decay"]
    return [decay, decay if case["decay_norm_and_bias"] else 0.0]


def sgd(case, *parameters):
    decays, decoupled = decays_of(case), case["decoupled"]

    def shrink(lr):
        with torch.no_grad():
            for p, d in zip(parameters, decays):
                p.mul_(1 - lr * d if decoupled else 1)

    return torch.optim.SGD(
        [{"params": [p], "weight_decay": 0.0 if decoupled else d}
         for p, d in zip(parameters, decays)],
        lr=case["lr"], momentum=case["momentum"], nesterov=case["nesterov"]), shrink


def adamw(case, *parameters):
    return torch.optim.AdamW(
        [{"params": [p], "weight_decay": d} for p, d in zip(parameters, decays_of(case))],
        lr=case["lr"], betas=(case["beta1"], case["beta2"]), eps=case["eps"]), lambda lr: None


def rates(make, steps):
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = make(sgd)
    values = []
    for _ in range(steps):
        values.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    return values


def edges():
    """Rates of runs of 1, 2, 3 and 20 steps with linear warm-ups of every length that leaves a step."""
    lr = torch.optim.lr_scheduler
    kinds = {
        "constant": lambda o, steps: lr.ConstantLR(o, 1.0, 1),
        "step": lambda o, steps: lr.StepLR(o, 2, gamma=0.1),
        "multistep": lambda o, steps: lr.MultiStepLR(o, [1, 3], gamma=0.2),
        "cosine": lambda o, steps: lr.CosineAnnealingLR(o, steps),
    }
    out = []
    for kind, make in kinds.items():
        for total in (1, 2, 3, 20):
            for warmup in range(0, total):
                if warmup and kind in ("step", "multistep"):
                    continue  # PyTorch counts their epochs from the end of the warm-up, we from the start
                def schedule(o):
                    after = make(o, total - warmup)
                    if not warmup:
                        return after
                    return lr.SequentialLR(o, [lr.LinearLR(o, 0.25, 1.0, warmup), after], [warmup])
                out.append({"kind": kind, "total_steps": total, "warmup_steps": warmup,
                            "rates": rates(schedule, total)})
    return out


def main():
    cases = [
        dict(lr=0.1, momentum=m, nesterov=n, weight_decay=d, decoupled=k, decay_norm_and_bias=a)
        for m, n in ((0.0, False), (0.9, False), (0.9, True))
        for d, k, a in ((0.0, False, True), (0.05, False, True), (0.05, False, False),
                        (0.05, True, True), (0.05, True, False))
    ]
    adamw_cases = [
        dict(lr=0.1, beta1=b1, beta2=b2, eps=e, weight_decay=d, decay_norm_and_bias=a)
        for b1, b2, e in ((0.9, 0.999, 1e-8), (0.8, 0.95, 0.1), (0.0, 0.9, 1e-8))
        for d, a in ((0.0, True), (0.05, True), (0.05, False))
    ]
    lr = torch.optim.lr_scheduler
    epoch, epochs = 7, 6  # steps per epoch, epochs
    total = epoch * epochs
    schedules = {
        "steps_per_epoch": epoch,
        "total_steps": total,
        "step": rates(lambda o: lr.StepLR(o, 2 * epoch, gamma=0.1), total),
        "multistep": rates(lambda o: lr.MultiStepLR(o, [10, 4 * epoch], gamma=0.2), total),
        "cosine": rates(lambda o: lr.CosineAnnealingLR(o, total - 1, eta_min=0.01), total),
        "warmup": rates(lambda o: lr.LinearLR(o, 0.25, 1.0, 8), total),
        "edges": edges(),
    }
    json.dump({"sgd": [run(c, sgd) for c in cases], "adamw": [run(c, adamw) for c in adamw_cases],
               "schedules": schedules}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
