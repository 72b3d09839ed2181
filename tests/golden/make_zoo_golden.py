#!/usr/bin/env python3
"""Records forward and backward of the networks without plain residual blocks, for
tests/nn/zoo_golden_test.cpp: VGG-16, BN-Inception, Inception-ResNet-v2, MobileNet and ShuffleNet,
all with SE, in training mode at a small image size.

Usage: python3 tests/golden/make_zoo_golden.py > tests/golden/zoo.json
       python3 tests/golden/make_zoo_golden.py --float32      (how far single precision strays)
Made with PyTorch 1.13 on the CPU, in double. The networks are defined here from their papers (and,
for SE-BN-Inception, the authors' prototxt) with parameter names as in Exciton. Weights and images
come from a formula both sides know, so the file holds results only.
"""
import argparse
import json
import math
import sys

import torch
from torch import nn
import torch.nn.functional as F

from noise import noise

CLASSES = 10
IMAGES = 100000  # the key of the images; parameters have their position as key
SAMPLES = 30     # parameters of a network whose gradients are recorded


def initial(name, shape, key):
    v = noise(math.prod(shape), key).reshape(shape)
    if len(shape) > 1:  # variance 2 / fan_in for convolutions, 1 / fan_in for matrices
        return v * math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))
    gamma = name.endswith("weight")  # the only vectors of that name
    return 1 + 0.2 * v if gamma else 0.2 * v


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.reduce = nn.Linear(channels, max(1, channels // reduction))
        self.expand = nn.Linear(max(1, channels // reduction), channels)

    def forward(self, x):
        s = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * s[:, :, None, None]


class Unit(nn.Module):
    """conv - bn - relu - [se]"""

    def __init__(self, i, o, k=1, stride=1, padding=None, groups=1, eps=1e-5, se=False):
        super().__init__()
        k = k if isinstance(k, tuple) else (k, k)
        padding = (k[0] // 2, k[1] // 2) if padding is None else padding
        self.conv = nn.Conv2d(i, o, k, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(o, eps)
        if se:
            self.se = SqueezeExcite(o)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        return self.se(x) if hasattr(self, "se") else x


class Concat(nn.Sequential):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self], 1)


def branch(*modules):
    return nn.Sequential(*modules)


class Vgg16(nn.Module):
    def __init__(self, side):
        super().__init__()
        layers, channels = [], 3
        for count, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            for _ in range(count):
                layers.append(Unit(channels, width, 3, se=True))
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * side * side, 4096), nn.ReLU(), nn.Identity(), nn.Linear(4096, 4096),
            nn.ReLU(), nn.Identity(), nn.Linear(4096, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).permute(0, 2, 3, 1).flatten(1))


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers, c = [Unit(3, 32, 3, 2)], 32
        for out, stride in ([(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
                            + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]):
            layers += [Unit(c, c, 3, stride, groups=c), Unit(c, out, se=True)]
            c = out
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(1024, CLASSES)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class ShuffleUnit(nn.Module):
    def __init__(self, i, out, stride, first_groups):
        super().__init__()
        inside, o = out // 4, out - i if stride == 2 else out
        self.stride = stride
        self.conv1 = nn.Conv2d(i, inside, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, o, 1, groups=3, bias=False)
        self.bn3 = nn.BatchNorm2d(o)
        self.se = SqueezeExcite(o)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        n, c, h, w = y.shape
        y = y.reshape(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = self.se(self.bn3(self.conv3(self.bn2(self.conv2(y)))))
        if self.stride == 1:
            return F.relu(x + y)
        return F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1))


class ShuffleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        c = 24
        for stage, (out, count) in enumerate(((240, 4), (480, 8), (960, 4))):
            units = []
            for i in range(count):
                units.append(ShuffleUnit(c, out, 2 if i == 0 else 1, 1 if c == 24 else 3))
                c = out
            setattr(self, f"stage{stage + 1}", nn.Sequential(*units))
        self.fc = nn.Linear(960, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.stage3(self.stage2(self.stage1(x))).mean((2, 3)))


class Inception(nn.Module):
    def __init__(self, i, c1, r3, c3, rd, cd, pool, project):
        super().__init__()
        stride = 2 if pool == "strided" else 1
        branches = [branch(Unit(i, c1))] if c1 else []
        branches += [branch(Unit(i, r3), Unit(r3, c3, 3, stride)),
                     branch(Unit(i, rd), Unit(rd, cd, 3), Unit(cd, cd, 3, stride))]
        pools = {"strided": nn.MaxPool2d(3, 2, ceil_mode=True), "max": nn.MaxPool2d(3, 1, 1),
                 "avg": nn.AvgPool2d(3, 1, 1)}
        branches.append(branch(pools[pool], *([Unit(i, project)] if project else [])))
        self.branches = Concat(*branches)
        self.se = SqueezeExcite(c1 + c3 + cd + (project or i))

    def forward(self, x):
        return self.se(self.branches(x))


class BnInception(nn.Module):
    TABLE = {"3a": (192, 64, 64, 64, 64, 96, "avg", 32), "3b": (256, 64, 64, 96, 64, 96, "avg", 64),
             "3c": (320, 0, 128, 160, 64, 96, "strided", 0),
             "4a": (576, 224, 64, 96, 96, 128, "avg", 128),
             "4b": (576, 192, 96, 128, 96, 128, "avg", 128),
             "4c": (576, 160, 128, 160, 128, 160, "avg", 128),
             "4d": (608, 96, 128, 192, 160, 192, "avg", 128),
             "4e": (608, 0, 128, 192, 192, 256, "strided", 0),
             "5a": (1056, 352, 192, 320, 160, 224, "avg", 128),
             "5b": (1024, 352, 192, 320, 192, 224, "max", 128)}

    def __init__(self):
        super().__init__()
        self.conv1 = Unit(3, 64, 7, 2)
        self.reduce2 = Unit(64, 64)
        self.conv2 = Unit(64, 192, 3)
        for name, row in self.TABLE.items():
            setattr(self, "inception" + name, Inception(*row))
        self.fc = nn.Linear(1024, CLASSES)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv2(self.reduce2(x)), 3, 2, ceil_mode=True)
        for name in self.TABLE:
            x = getattr(self, "inception" + name)(x)
        return self.fc(x.mean((2, 3)))


class Residual(nn.Module):
    """relu(x + se(scale (conv1x1(branches(x)) + bias)))"""

    def __init__(self, branches, joined, channels, scale, relu=True):
        super().__init__()
        self.branches = Concat(*branches)
        self.conv = nn.Conv2d(joined, channels, 1)
        self.se = SqueezeExcite(channels)
        self.scale, self.relu = scale, relu

    def forward(self, x):
        y = x + self.se(self.scale * self.conv(self.branches(x)))
        return F.relu(y) if self.relu else y


class InceptionResNetV2(nn.Module):
    def __init__(self):
        super().__init__()

        def unit(i, o, k=1, stride=1, padding=None):
            return Unit(i, o, k, stride, padding, eps=1e-3)

        def a():
            return Residual([branch(unit(320, 32)), branch(unit(320, 32), unit(32, 32, 3)),
                             branch(unit(320, 32), unit(32, 48, 3), unit(48, 64, 3))],
                            128, 320, 0.17)

        def b():
            return Residual([branch(unit(1088, 192)),
                             branch(unit(1088, 128), unit(128, 160, (1, 7)),
                                    unit(160, 192, (7, 1)))], 384, 1088, 0.1)

        def c(last):
            return Residual([branch(unit(2080, 192)),
                             branch(unit(2080, 192), unit(192, 224, (1, 3)),
                                    unit(224, 256, (3, 1)))],
                            448, 2080, 1.0 if last else 0.2, not last)

        self.stem = nn.Sequential(
            unit(3, 32, 3, 2, 0), unit(32, 32, 3, 1, 0), unit(32, 64, 3), nn.MaxPool2d(3, 2),
            unit(64, 80), unit(80, 192, 3, 1, 0), nn.MaxPool2d(3, 2))
        self.mixed = Concat(
            branch(unit(192, 96)), branch(unit(192, 48), unit(48, 64, 5)),
            branch(unit(192, 64), unit(64, 96, 3), unit(96, 96, 3)),
            branch(nn.AvgPool2d(3, 1, 1, count_include_pad=False), unit(192, 64)))
        self.a = nn.Sequential(*[a() for _ in range(10)])
        self.reduction_a = Concat(
            branch(unit(320, 384, 3, 2, 0)),
            branch(unit(320, 256), unit(256, 256, 3), unit(256, 384, 3, 2, 0)),
            branch(nn.MaxPool2d(3, 2)))
        self.b = nn.Sequential(*[b() for _ in range(20)])
        self.reduction_b = Concat(
            branch(unit(1088, 256), unit(256, 384, 3, 2, 0)),
            branch(unit(1088, 256), unit(256, 288, 3, 2, 0)),
            branch(unit(1088, 256), unit(256, 288, 3), unit(288, 320, 3, 2, 0)),
            branch(nn.MaxPool2d(3, 2)))
        self.c = nn.Sequential(*[c(i == 9) for i in range(10)])
        self.final_conv = unit(2080, 1536)
        self.fc = nn.Linear(1536, CLASSES)

    def forward(self, x):
        x = self.a(self.mixed(self.stem(x)))
        x = self.c(self.reduction_b(self.b(self.reduction_a(x))))
        return self.fc(self.final_conv(x).mean((2, 3)))


NETWORKS = {  # name: (network, image size, batch)
    "se_vgg16_bn": (lambda: Vgg16(2), 64, 2),
    "se_mobilenet": (MobileNet, 64, 2),
    "se_shufflenet": (ShuffleNet, 64, 2),
    "se_bn_inception": (BnInception, 64, 2),
    "se_inception_resnet_v2": (InceptionResNetV2, 107, 2),
}


def rounded(values, digits=10):
    return [float(f"{float(v):.{digits}g}") for v in values]


def probe(t):
    """Norm and three elements of a tensor, enough to tell it from any other."""
    v = t.detach().double().flatten()
    return rounded((v.norm(), v[0], v[len(v) // 2], v[-1]))


def record(make, size, batch, dtype):
    net = make().double()
    names = [name for name, _ in net.named_parameters()]
    with torch.no_grad():
        for key, (name, p) in enumerate(net.named_parameters()):
            p.copy_(initial(name, p.shape, key))
    net = net.to(dtype)
    images = 1.7 * noise(batch * size * size * 3, IMAGES).reshape(batch, size, size, 3)
    labels = torch.arange(batch) * 3 % CLASSES
    logits = net(images.permute(0, 3, 1, 2).to(dtype))
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    # A shift that the next batch norm takes away has no gradient but rounding.
    moving = [n for n, p in net.named_parameters() if p.grad.norm() > 1e-6]
    sampled = set(moving[::-(-len(moving) // SAMPLES)] + moving[-2:])
    return {"image_size": size, "batch": batch, "parameters": len(names), "loss": loss.item(),
            "logits": rounded(logits.detach().flatten()),
            "gradients": {n: probe(p.grad) for n, p in net.named_parameters() if n in sampled}}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--float32", action="store_true")
    dtype = torch.float32 if options.parse_args().float32 else torch.float64
    json.dump({name: record(*network, dtype) for name, network in NETWORKS.items()}, sys.stdout,
              separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
