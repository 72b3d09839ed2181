#!/usr/bin/env python3
"""Records Muon, whitening filters and smooth activations of PyTorch for the tests of the speed-run's
parts (tests/optim/muon_test.cpp, tests/nn/speednet_test.cpp, tests/ops/golden_test.cpp).

Usage: python3 tests/golden/make_speedrun_golden.py > tests/golden/speedrun.json
Made with PyTorch 1.13.1 on the CPU, in double.
"""
import json
import sys

import torch
import torch.nn.functional as F

from noise import noise

STEPS = 4


def flat(t):
    return t.detach().flatten().tolist()


def orthogonal(matrix, steps):
    """The quintic iteration on the smaller side, whichever that is."""
    x = matrix / (torch.linalg.norm(matrix) + 1e-7)
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if turned else x


def muon(shape, momentum, nesterov, steps, weight_decay, normalize):
    generator = torch.Generator().manual_seed(7)
    draw = lambda: torch.randn(*shape, generator=generator, dtype=torch.float64)
    weight, buffer = draw(), torch.zeros(*shape, dtype=torch.float64)
    out = dict(shape=list(shape), momentum=momentum, nesterov=nesterov, steps=steps,
               weight_decay=weight_decay, normalize=normalize, weight=[flat(weight)], grad=[])
    for step in range(STEPS):
        lr, gradient = 0.1 * (1 - step / STEPS), draw()
        buffer = momentum * buffer + gradient
        ahead = gradient + momentum * buffer if nesterov else buffer
        if normalize:
            weight = weight * len(weight) ** 0.5 / torch.linalg.norm(weight)
        else:
            weight = weight * (1 - lr * weight_decay)
        weight = weight - lr * orthogonal(ahead.reshape(len(ahead), -1), steps).reshape(shape)
        out["grad"].append(flat(gradient))
        out["weight"].append(flat(weight))
    return out


def whitening(n, side, channels, kernel, eps=5e-4):
    """Images [n, side, side, channels] of noise; their filters, largest eigenvalue first."""
    images = noise(n * side * side * channels, 5).reshape(n, side, side, channels)
    images = images + 0.5 * images.roll(1, 2)  # neighbours that have something in common
    patches = F.unfold(images.permute(0, 3, 1, 2), kernel).transpose(1, 2).reshape(
        -1, channels * kernel * kernel)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    values, vectors = values.flip(0), vectors.T.flip(0)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    filters = vectors * largest.sign() / (values[:, None] + eps).sqrt()
    return dict(n=n, side=side, channels=channels, kernel=kernel, filters=flat(filters))


def activation(f):
    x = torch.tensor([-40.0, -9.5, -4.0, -2.5, -1.0, -0.3, -1e-3, 0.0, 1e-3, 0.2, 0.75, 1.0, 2.0,
                      3.5, 6.0, 50.0], dtype=torch.float64, requires_grad=True)
    y = f(x)
    y.sum().backward()
    return dict(x=flat(x), y=flat(y), slope=flat(x.grad))


def main():
    json.dump({
        "muon": [muon((4, 3, 2, 2), 0.6, True, 3, 0.0, True),
                 muon((4, 3, 2, 2), 0.95, True, 5, 0.1, False),
                 muon((7, 3), 0.9, False, 5, 0.0, False),
                 muon((5, 5), 0.6, True, 3, 0.0, True)],
        "whitening": [whitening(6, 9, 3, 2), whitening(5, 7, 1, 2)],
        "gelu": activation(F.gelu),
        "silu": activation(F.silu),
    }, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
