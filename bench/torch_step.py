#!/usr/bin/env python3
"""One training or inference measurement of a ResNet with PyTorch, printed as a line of JSON.

An independent definition of the networks in nn/models (same shapes, same counts), with channels-last
memory. Fields as `exciton bench`: model, mode, batch, dtype, threads, images_per_second (median over
steps), ms_per_step, peak_rss_mib, parameters; and `torch`, its version, and `doubts`: what of its
numbers is wrong, so that its speed does not count ("" if nothing). It needs no file beside it and may
come through standard input, for a Python that lives in another root.
"""
import argparse
import json
import math
import pathlib
import re
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class SE(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        z = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(z))))


def conv_norm(inputs, outputs, kernel, stride):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """A basic (two 3x3) or bottleneck (1x1, 3x3, 1x1; stride on the first) residual block."""

    def __init__(self, inputs, width, stride, se, bottleneck):
        super().__init__()
        outputs = width * 4 if bottleneck else width
        if bottleneck:
            shapes = [(inputs, width, 1, stride), (width, width, 3, 1), (width, outputs, 1, 1)]
        else:
            shapes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        self.layers = nn.ModuleList(conv_norm(*s) for s in shapes)
        self.se = SE(outputs) if se else nn.Identity()
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = conv_norm(inputs, outputs, 1, stride)

    def forward(self, x):
        y = x
        for layer in self.layers[:-1]:
            y = F.relu(layer(y), inplace=True)
        y = self.se(self.layers[-1](y))
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, stem, blocks, widths, se, bottleneck, classes):
        super().__init__()
        self.stem = stem
        channels = 16 if len(widths) == 3 else 64
        body = []
        for stage, (count, width) in enumerate(zip(blocks, widths)):
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                body.append(Block(channels, width, stride, se, bottleneck))
                channels = width * 4 if bottleneck else width
        self.body = nn.Sequential(*body)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        return self.classifier(self.body(self.stem(x)).mean((2, 3)))


class SpeedNet(nn.Module):
    """nn/models/speednet.cpp: whitening filters (here random), then groups of two 3x3 convolutions."""

    def __init__(self, widths, classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 2), nn.GELU())
        self.stem[0].weight.requires_grad_(False)
        body, channels = [], 24
        for width in widths:
            body += [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.MaxPool2d(2), self.norm(width), nn.GELU(),
                     nn.Conv2d(width, width, 3, 1, 1, bias=False), self.norm(width), nn.GELU()]
            channels = width
        self.body = nn.Sequential(*body)
        self.classifier = nn.Linear(channels, classes, bias=False)

    @staticmethod
    def norm(width):
        norm = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
        norm.weight.requires_grad_(False)
        return norm

    def forward(self, x):
        return self.classifier(self.body(self.stem(x)).amax((2, 3))) / 9


def make(name):
    """The model and its native image size."""
    speed = {"speednet93": [64, 128, 128], "speednet94": [64, 256, 256], "speednet95": [128, 384, 384]}
    if name in speed:
        return SpeedNet(speed[name]), 32
    se = name.startswith("se_")
    depth = int(name.replace("se_", "").replace("resnet", ""))
    imagenet = {18: ([2, 2, 2, 2], False), 34: ([3, 4, 6, 3], False), 50: ([3, 4, 6, 3], True),
                101: ([3, 4, 23, 3], True), 152: ([3, 8, 36, 3], True)}
    if depth in imagenet:
        blocks, bottleneck = imagenet[depth]
        stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64),
                             nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True))
        return ResNet(stem, blocks, [64, 128, 256, 512], se, bottleneck, 1000), 224
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16),
                         nn.ReLU(inplace=True))
    return ResNet(stem, [(depth - 2) // 6] * 3, [16, 32, 64], se, False, 10), 32


def doubts(net, x, losses):
    """What is wrong with the numbers: sums over many rows, the first layer against double, the losses; or
    with PyTorch's choice of kernels, which without /proc (another root, not mounted) is those of a
    processor without AVX, half as fast."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return "there is no /proc/cpuinfo here, so that PyTorch takes its slowest kernels; mount /proc in this root"
    kernels = re.search(r"CPU capability usage: (.*)", torch.__config__.show())
    if kernels and kernels[1] in ("NO AVX", "DEFAULT") and " avx2" in cpuinfo.read_text():
        return f"PyTorch takes kernels for {kernels[1]} on a processor with AVX2"
    rows = torch.rand(1 << 21, 8)
    for name, got, wanted in (
            ("a matrix product over 2 million rows", rows.T @ rows, rows.double().T @ rows.double()),
            ("a mean of 2 million rows", rows.mean(0), rows.double().mean(0))):
        error = ((got.double() - wanted).abs().max() / wanted.abs().max()).item()
        if not error < 1e-3:
            return f"{name} is off by {error:.1e}"
    conv, few = net.stem[0], x[:2]
    with torch.no_grad():
        got = conv(few).double()
        bias = None if conv.bias is None else conv.bias.double()
        wanted = F.conv2d(few.double(), conv.weight.double(), bias, conv.stride, conv.padding)
    error = ((got - wanted).abs().max() / wanted.abs().max()).item()
    if not error < 1e-3:
        return f"the first convolution is off by {error:.1e}"
    if losses and not all(math.isfinite(loss) for loss in losses):
        return "the loss is no number"
    if losses and not losses[-1] < losses[0] + 1:
        return f"the loss rises from {losses[0]:.2f} to {losses[-1]:.2f} on one batch"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["train", "infer"])
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net, size = make(args.model)
    net = net.to(memory_format=torch.channels_last)
    run = torch.compile(net) if args.compile else net
    losses = []
    x = torch.randn(args.batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, net.classifier.out_features, (args.batch,))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16")
    sgd = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.01, 0.9, weight_decay=5e-4, nesterov=True)

    def train_step():
        sgd.zero_grad(set_to_none=True)
        with autocast:
            loss = F.cross_entropy(run(x).float(), labels)
        loss.backward()
        losses.append(loss.item())
        sgd.step()

    def infer_step():
        with torch.inference_mode(), autocast:
            run(x)

    net.train(args.mode == "train")
    step = train_step if args.mode == "train" else infer_step
    times = []
    for i in range(args.steps + 3):
        start = time.perf_counter()
        step()
        if i >= 3:
            times.append(time.perf_counter() - start)
    seconds = sorted(times)[len(times) // 2]
    print(json.dumps({
        "model": args.model, "mode": args.mode, "batch": args.batch, "dtype": args.dtype,
        "threads": args.threads, "images_per_second": args.batch / seconds,
        "ms_per_step": seconds * 1e3,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": sum(p.numel() for p in net.parameters()),
        "torch": torch.__version__, "doubts": doubts(net, x, losses)}))


if __name__ == "__main__":
    main()
