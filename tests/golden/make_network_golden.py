#!/usr/bin/env python3
"""Records ten training steps of SE-ResNet-20 in PyTorch for tests/network.

Usage: python3 tests/golden/make_network_golden.py > tests/golden/se_resnet20_steps.json
       python3 tests/golden/make_network_golden.py --float32      (how far single precision strays)
Made with PyTorch 1.13 on the CPU, in double. The network is defined here from the papers (He et al.
2016 section 4.2, projection shortcuts; Hu et al. section 3) with parameter names as in Exciton.
Weights and images come from a formula both sides know, so the file holds results only.
"""
import argparse
import json
import math
import sys

import torch
from torch import nn
import torch.nn.functional as F

from noise import noise

STEPS, BATCH, SIZE, CLASSES = 10, 8, 32, 10
IMAGES = 1000  # the key of the images; parameters have their position as key


def initial(name, shape, key):
    """Weights for which ten steps are well conditioned: branches are damped and few ReLUs sit near
    their kink, so single precision follows double to 1e-7 (with batch norms that start at gamma 1
    and beta 0 PyTorch's own single and double precision part by 5e-3 within these ten steps)."""
    v = noise(math.prod(shape), key).reshape(shape)
    if len(shape) == 4:  # the variance of He et al. 2015, 2 / fan_out
        return v * math.sqrt(6 / (shape[0] * shape[2] * shape[3]))
    if len(shape) == 2:
        return v / math.sqrt(shape[1])
    if "bn" in name:
        return 0.3 + 0.06 * v if name.endswith("weight") else 0.5 + 0.2 * v
    return 1 + 0.2 * v if name.endswith("reduce.bias") else 0.2 * v


def conv(i, o, k, stride=1):
    return nn.Conv2d(i, o, k, stride, padding=k // 2, bias=False)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.reduce = nn.Linear(channels, max(1, channels // reduction))
        self.expand = nn.Linear(max(1, channels // reduction), channels)

    def forward(self, x):
        s = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * s[:, :, None, None]


class Projection(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv = conv(i, o, 1, stride)
        self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn(self.conv(x))


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = conv(i, o, 3, stride)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = conv(o, o, 3)
        self.bn2 = nn.BatchNorm2d(o)
        self.se = SqueezeExcite(o)
        self.shortcut = Projection(i, o, stride) if i != o or stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(y + self.shortcut(x))


class SEResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = conv(3, 16, 3)
        self.bn1 = nn.BatchNorm2d(16)
        self.stage1 = nn.Sequential(Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1))
        self.stage2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.stage3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.stage3(self.stage2(self.stage1(x))).mean((2, 3)))


def probe(t):
    """Norm and three elements of a tensor, enough to tell it from any other."""
    v = t.detach().double().flatten()
    return [float(f"{x:.12g}") for x in (v.norm(), v[0], v[len(v) // 2], v[-1])]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--float32", action="store_true")
    dtype = torch.float32 if options.parse_args().float32 else torch.float64
    net = SEResNet20().double()
    with torch.no_grad():
        for key, (name, p) in enumerate(net.named_parameters()):
            p.copy_(initial(name, p.shape, key))
    net = net.to(dtype)
    images = 1.7 * noise(BATCH * SIZE * SIZE * 3, IMAGES).reshape(BATCH, SIZE, SIZE, 3)
    images = images.permute(0, 3, 1, 2).to(dtype)
    labels = torch.arange(BATCH) * 3 % CLASSES
    out = {"images": [BATCH, SIZE, SIZE, 3], "labels": labels.tolist(), "lr": 0.1, "momentum": 0.9,
           "weight_decay": 5e-4, "losses": []}
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for step in range(STEPS):
        loss = F.cross_entropy(net(images), labels)
        sgd.zero_grad()
        loss.backward()
        out["losses"].append(loss.item())
        if step == 0:
            out["gradients"] = {name: probe(p.grad) for name, p in net.named_parameters()}
        sgd.step()
    net.eval()
    with torch.no_grad():
        out["eval_loss"] = F.cross_entropy(net(images), labels).item()
    out["weights"] = {name: probe(p) for name, p in net.named_parameters()}
    out["running"] = {name: probe(b) for name, b in net.named_buffers() if b.dim() == 1}
    json.dump(out, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
