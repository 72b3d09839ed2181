#!/usr/bin/env python3
"""Records forward and backward of a small relative of every residual family in PyTorch, for
tests/nn/residual_golden_test.cpp.

Usage: python3 tests/golden/make_residual_golden.py > tests/golden/residual.json
Made with PyTorch 1.13 on the CPU, in double. The networks are defined here from the papers and the
authors' code (Hu et al.; He et al. 2016, 2016b; Xie et al. 2017; Zagoruyko and Komodakis 2016;
Gastaldi 2017; hujie-frank/SENet, xgastaldi/shake-shake), with parameter names as in Exciton. Weights
and images come from a formula that both sides know, so the file holds results only. Shake-Shake
mixes by halves here, as in evaluation; its random rule has a test of its own.
"""
import json
import math
import sys

import torch
from torch import nn
import torch.nn.functional as F

from noise import noise

BATCH, CLASSES, IMAGES = 3, 10, 1000


def key_of(name):
    """FNV-1a, 32 bits: every parameter has the stream of its name."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    return h


def initial(name, shape):
    v = noise(math.prod(shape), key_of(name)).reshape(shape)
    if len(shape) > 1:
        return v * math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))
    return 1 + 0.2 * v if name.endswith("weight") else 0.2 * v


def conv(i, o, k, stride=1, groups=1):
    return nn.Conv2d(i, o, k, stride, padding=k // 2, groups=groups, bias=False)


class SE(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.reduce = nn.Linear(channels, max(1, channels // reduction))
        self.expand = nn.Linear(max(1, channels // reduction), channels)

    def forward(self, x):
        s = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * s[:, :, None, None]


class Projection(nn.Module):
    def __init__(self, i, o, stride, kernel=1, norm=True):
        super().__init__()
        self.conv = conv(i, o, kernel, stride)
        if norm:
            self.bn = nn.BatchNorm2d(o)

    def forward(self, x):
        return self.bn(self.conv(x)) if hasattr(self, "bn") else self.conv(x)


class Basic(nn.Module):
    def __init__(self, i, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(i, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.se = SE(width)
        if i != width or stride > 1:
            self.shortcut = Projection(i, width, stride)

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Bottleneck(nn.Module):
    """Channels of the three convolutions; the stride is on the first or on the second."""

    def __init__(self, i, channels, stride, strides_3x3=False, groups=1, projection_kernel=1):
        super().__init__()
        a, b, c = channels
        s1, s2 = (1, stride) if strides_3x3 else (stride, 1)
        self.conv1, self.bn1 = conv(i, a, 1, s1), nn.BatchNorm2d(a)
        self.conv2, self.bn2 = conv(a, b, 3, s2, groups), nn.BatchNorm2d(b)
        self.conv3, self.bn3 = conv(b, c, 1), nn.BatchNorm2d(c)
        self.se = SE(c)
        if i != c or stride > 1:
            self.shortcut = Projection(i, c, stride, projection_kernel if stride > 1 else 1)

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        y = self.se(self.bn3(self.conv3(y)))
        return F.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class PreActBasic(nn.Module):
    def __init__(self, i, width, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, width, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3)
        self.se = SE(width)
        if i != width or stride > 1:
            self.shortcut = Projection(i, width, stride, norm=False)

    def forward(self, x):
        h = F.relu(self.bn1(x))
        y = self.se(self.conv2(F.relu(self.bn2(self.conv1(h)))))
        return y + (self.shortcut(h) if hasattr(self, "shortcut") else x)


class PreActBottleneck(nn.Module):
    def __init__(self, i, width, stride):
        super().__init__()
        o = 4 * width
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, width, 1, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3)
        self.bn3, self.conv3 = nn.BatchNorm2d(width), conv(width, o, 1)
        self.se = SE(o)
        if i != o or stride > 1:
            self.shortcut = Projection(i, o, stride, norm=False)

    def forward(self, x):
        h = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(h))))
        y = self.se(self.conv3(F.relu(self.bn3(y))))
        return y + (self.shortcut(h) if hasattr(self, "shortcut") else x)


class Branch(nn.Module):
    def __init__(self, i, width, stride, groups):
        super().__init__()
        if groups:
            layers = [conv(i, width, 1), conv(width, width, 3, stride, groups), conv(width, width, 1)]
        else:
            layers = [conv(i, width, 3, stride), conv(width, width, 3)]
        self.count = len(layers)
        for n, layer in enumerate(layers, 1):
            setattr(self, f"conv{n}", layer)
            setattr(self, f"bn{n}", nn.BatchNorm2d(width))

    def forward(self, x):
        for n in range(1, self.count + 1):
            x = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(x))
            x = F.relu(x) if n < self.count else x
        return x


class TwoPath(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.conv2 = conv(i, o // 2, 1), conv(i, o // 2, 1)
        self.bn, self.stride = nn.BatchNorm2d(o), stride

    def forward(self, x):
        moved = F.pad(x, (1, -1, 1, -1))  # one pixel right and down, zeros come in
        a = self.conv1(F.avg_pool2d(x, 1, self.stride))
        b = self.conv2(F.avg_pool2d(moved, 1, self.stride))
        return self.bn(torch.cat((a, b), 1))


class ShakeBlock(nn.Module):
    def __init__(self, i, width, stride, groups):
        super().__init__()
        self.branch1, self.branch2 = (Branch(i, width, stride, groups) for _ in range(2))
        self.se = SE(width)
        if i != width:
            self.shortcut = TwoPath(i, width, stride)

    def forward(self, x):
        h = F.relu(x)
        y = self.se(0.5 * self.branch1(h) + 0.5 * self.branch2(h))
        return y + (self.shortcut(h) if hasattr(self, "shortcut") else x)


class Net(nn.Module):
    """stem(self, x), stages of blocks, then bn - relu if `final` asks, mean and fc."""

    def __init__(self, modules, stages, stem, channels, final=None):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        for n, blocks in enumerate(stages, 1):
            setattr(self, f"stage{n}", nn.Sequential(*blocks))
        self.stages, self.stem, self.final = len(stages), stem, final
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        x = self.stem(self, x)
        for n in range(1, self.stages + 1):
            x = getattr(self, f"stage{n}")(x)
        if self.final:
            x = self.final(self, x)
        return self.fc(x.mean((2, 3)))


def stages_of(blocks, first_in, out_of, make):
    """make(stage, in, stride) for every block."""
    stages, i = [], first_in
    for s, count in enumerate(blocks):
        stage = []
        for n in range(count):
            stage.append(make(s, i, 2 if s > 0 and n == 0 else 1))
            i = out_of(s)
        stages.append(stage)
    return stages, i


def pool(x):
    return F.max_pool2d(x, 3, 2, ceil_mode=True)


def imagenet(blocks, out_of, make):
    modules = {"conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(64)}
    stages, channels = stages_of(blocks, 64, out_of, make)
    return Net(modules, stages, lambda m, x: pool(F.relu(m.bn1(m.conv1(x)))), channels)


def senet(blocks):
    modules = {"conv1": conv(3, 64, 3, 2), "bn1": nn.BatchNorm2d(64), "conv2": conv(64, 64, 3),
               "bn2": nn.BatchNorm2d(64), "conv3": conv(64, 128, 3), "bn3": nn.BatchNorm2d(128)}

    def stem(m, x):
        for n in (1, 2, 3):
            x = F.relu(getattr(m, f"bn{n}")(getattr(m, f"conv{n}")(x)))
        return pool(x)

    def make(s, i, stride):
        w = 256 << s
        return Bottleneck(i, (w // 2, w, w), stride, True, 64, 3)

    stages, channels = stages_of(blocks, 128, lambda s: 256 << s, make)
    return Net(modules, stages, stem, channels)


def cifar(blocks, out_of, make):
    modules = {"conv1": conv(3, 16, 3), "bn1": nn.BatchNorm2d(16)}
    stages, channels = stages_of(blocks, 16, out_of, make)
    return Net(modules, stages, lambda m, x: F.relu(m.bn1(m.conv1(x))), channels)


def preact(blocks, out_of, make):
    stages, channels = stages_of(blocks, 16, out_of, make)
    modules = {"conv1": conv(3, 16, 3), "bn": nn.BatchNorm2d(channels)}
    return Net(modules, stages, lambda m, x: m.conv1(x), channels, lambda m, x: F.relu(m.bn(x)))


def shake(blocks, stem, width, groups):
    modules = {"conv1": conv(3, stem, 3), "bn1": nn.BatchNorm2d(stem)}
    stages, channels = stages_of(blocks, stem, lambda s: width << s,
                                 lambda s, i, stride: ShakeBlock(i, width << s, stride, groups))
    return Net(modules, stages, lambda m, x: m.bn1(m.conv1(x)), channels, lambda m, x: F.relu(x))


def bottleneck(s, i, stride):
    w = 64 << s
    return Bottleneck(i, (w, w, 4 * w), stride)


def resnext_block(s, i, stride):
    w = 128 << s
    return Bottleneck(i, (w, w, 2 * w), stride, True, 32)


NETWORKS = {  # name: (blocks per stage, image size, network)
    "se_resnet18": ([1, 2, 1, 1], 64, lambda b: imagenet(
        b, lambda s: 64 << s, lambda s, i, stride: Basic(i, 64 << s, stride))),
    "se_resnet50": ([1, 2, 1, 1], 64, lambda b: imagenet(b, lambda s: 256 << s, bottleneck)),
    "se_resnext50_32x4d": ([1, 1, 2, 1], 64, lambda b: imagenet(
        b, lambda s: 256 << s, resnext_block)),
    "senet154": ([1, 1, 1, 1], 64, senet),
    "se_resnet164": ([2, 1, 1], 16, lambda b: cifar(
        b, lambda s: 64 << s, lambda s, i, stride: Bottleneck(
            i, (16 << s, 16 << s, 64 << s), stride))),
    "se_preresnet110": ([1, 2, 2], 16, lambda b: preact(
        b, lambda s: 16 << s, lambda s, i, stride: PreActBasic(i, 16 << s, stride))),
    "se_preresnet164": ([2, 1, 1], 16, lambda b: preact(
        b, lambda s: 64 << s, lambda s, i, stride: PreActBottleneck(i, 16 << s, stride))),
    "se_wrn16_8": ([1, 1, 1], 12, lambda b: preact(
        b, lambda s: 128 << s, lambda s, i, stride: PreActBasic(i, 128 << s, stride))),
    "se_shake_shake26_2x32d": ([1, 2, 1], 16, lambda b: shake(b, 16, 32, 0)),
    "se_shake_even29_2x4x64d": ([1, 1, 1], 12, lambda b: shake(b, 64, 256, 4)),
}


def main():
    torch.manual_seed(0)
    out = {}
    for name, (blocks, size, build) in NETWORKS.items():
        net = build(blocks).double()
        with torch.no_grad():
            for parameter, p in net.named_parameters():
                p.copy_(initial(parameter, p.shape))
        images = 1.7 * noise(BATCH * size * size * 3, IMAGES).reshape(BATCH, size, size, 3)
        logits = net(images.permute(0, 3, 1, 2))
        loss = F.cross_entropy(logits, torch.arange(BATCH) * 3 % CLASSES)
        loss.backward()
        gradients = {}
        for parameter, p in net.named_parameters():
            g = p.grad.flatten()
            gradients[parameter] = [float(f"{v:.10g}") for v in (g.norm(), g[len(g) // 2])]
        out[name] = {"blocks": blocks, "image_size": size, "batch": BATCH, "loss": loss.item(),
                     "logits": [float(f"{v:.10g}") for v in logits.flatten()],
                     "gradients": gradients}
        print(name, loss.item(), file=sys.stderr)
    json.dump(out, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
