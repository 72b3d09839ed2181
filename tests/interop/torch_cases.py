#!/usr/bin/env python3
"""Networks of other libraries in PyTorch, with random weights, and what they compute.

Usage: torch_cases.py DIR         (needs PyTorch; torchvision for its own networks)

For each case DIR/NAME has weights.pth, input.npy, logits.npy and case.json; test_interop reads them where
EXCITON_TORCH_CASES is DIR. torchvision's networks are torchvision's; the others are written here from what
the libraries compute, so that nothing but PyTorch is needed.
"""
import json
import pathlib
import sys

try:
    import numpy as np
    import torch
    from torch import nn
    import torch.nn.functional as F
except ImportError as missing:
    print(missing)
    sys.exit(77)  # skipped


class Excite(nn.Module):
    """SE under the names that a library gives its two layers."""

    def __init__(self, channels, hidden, names, dense=False, bias=True):
        super().__init__()
        self.dense, self.names = dense, names
        layer = nn.Linear if dense else (lambda i, o, bias: nn.Conv2d(i, o, 1, bias=bias))
        if names == ("fc", "0", "2"):
            self.fc = nn.Sequential(layer(channels, hidden, bias=bias), nn.ReLU(), layer(hidden, channels, bias=bias), nn.Sigmoid())
        else:
            self.fc1, self.fc2 = layer(channels, hidden, bias=bias), layer(hidden, channels, bias=bias)

    def forward(self, x):
        z = x.mean((2, 3)) if self.dense else x.mean((2, 3), keepdim=True)
        s = self.fc(z) if hasattr(self, "fc") else torch.sigmoid(self.fc2(torch.relu(self.fc1(z))))
        return x * (s[:, :, None, None] if self.dense else s)


class Bottleneck(nn.Module):
    def __init__(self, i, width, o, stride, groups, stride_first, se, first, down_kernel):
        super().__init__()
        first = first or width
        self.conv1 = nn.Conv2d(i, first, 1, stride if stride_first else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, width, 3, 1 if stride_first else stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, o, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(o)
        name, make = se if se else (None, None)
        self.attention = name
        if name:
            setattr(self, name, make(o))
        if stride > 1 or i != o:
            k = down_kernel if stride > 1 else 1
            self.downsample = nn.Sequential(nn.Conv2d(i, o, k, stride, k // 2, bias=False), nn.BatchNorm2d(o))
        else:
            self.downsample = nn.Identity()

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.attention:
            y = getattr(self, self.attention)(y)
        return F.relu(y + self.downsample(x))


class Basic(nn.Module):
    def __init__(self, i, o, stride, se, relu_before_se):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        name, make = se
        self.attention, self.relu_before_se = name, relu_before_se
        setattr(self, name, make(o))
        self.downsample = (nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
                           if stride > 1 or i != o else nn.Identity())

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.relu_before_se:
            y = F.relu(y)
        return F.relu(getattr(self, self.attention)(y) + self.downsample(x))


class ImageNet(nn.Module):
    """Stem, four stages, mean, classifier, in the order and under the names of a library."""

    def __init__(self, stages, ceil, classifier="fc", stem="plain", features=2048, classes=11):
        super().__init__()
        self.stem, self.ceil, self.classifier = stem, ceil, classifier
        if stem == "layer0":
            self.layer0 = nn.Sequential()
            self.layer0.add_module("conv1", nn.Conv2d(3, 64, 7, 2, 3, bias=False))
            self.layer0.add_module("bn1", nn.BatchNorm2d(64))
        elif stem == "layer0_deep":
            self.layer0 = nn.Sequential()
            for k, (i, o, s) in enumerate([(3, 64, 2), (64, 64, 1), (64, 128, 1)], 1):
                self.layer0.add_module(f"conv{k}", nn.Conv2d(i, o, 3, s, 1, bias=False))
                self.layer0.add_module(f"bn{k}", nn.BatchNorm2d(o))
                self.layer0.add_module(f"relu{k}", nn.ReLU())
        elif stem == "deep":
            self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                       nn.Conv2d(64, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                       nn.Conv2d(64, 128, 3, 1, 1, bias=False))
            self.bn1 = nn.BatchNorm2d(128)
        else:
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
        for k, stage in enumerate(stages, 1):
            setattr(self, f"layer{k}", nn.Sequential(*stage))
        setattr(self, classifier, nn.Linear(features, classes))

    def forward(self, x):
        x = F.relu(self.layer0(x)) if self.stem.startswith("layer0") else F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 0, ceil_mode=True) if self.ceil else F.max_pool2d(x, 3, 2, 1)
        for k in range(1, 5):
            x = getattr(self, f"layer{k}")(x)
        return getattr(self, self.classifier)(x.mean((2, 3)))


def bottlenecks(blocks, i, width, out, groups=1, stride_first=False, se=None, first=0, down_kernel=1):
    stages = []
    for k, count in enumerate(blocks):
        stage = []
        for b in range(count):
            stage.append(Bottleneck(i, width << k, out << k, 2 if k and not b else 1, groups, stride_first, se,
                                    first << k if first else 0, down_kernel))
            i = out << k
        stages.append(stage)
    return stages


def basics(blocks, se, relu_before_se):
    stages, i = [], 64
    for k, count in enumerate(blocks):
        stage = []
        for b in range(count):
            stage.append(Basic(i, 64 << k, 2 if k and not b else 1, se, relu_before_se))
            i = 64 << k
        stages.append(stage)
    return stages


def conv_bn(i, o, k, stride=1, padding=0, eps=1e-3):
    m = nn.Sequential()
    m.add_module("conv", nn.Conv2d(i, o, k, stride, padding, bias=False))
    m.add_module("bn", nn.BatchNorm2d(o, eps=eps))
    m.add_module("relu", nn.ReLU())
    return m


class Branches(nn.Module):
    """branch0, branch1, ... joined; in a block also conv2d and the sum."""

    def __init__(self, branches, block=None):
        super().__init__()
        self.count, self.block = len(branches), block
        for k, branch in enumerate(branches):
            setattr(self, f"branch{k}", branch)
        if block:
            channels, joined, self.scale, self.relu = block
            self.conv2d = nn.Conv2d(joined, channels, 1)

    def forward(self, x):
        y = torch.cat([getattr(self, f"branch{k}")(x) for k in range(self.count)], 1)
        if not self.block:
            return y
        y = x + self.scale * self.conv2d(y)
        return F.relu(y) if self.relu else y


class InceptionResNet(nn.Module):
    def __init__(self, classes=11):
        super().__init__()
        s = nn.Sequential
        self.conv2d_1a, self.conv2d_2a = conv_bn(3, 32, 3, 2), conv_bn(32, 32, 3)
        self.conv2d_2b, self.conv2d_3b = conv_bn(32, 64, 3, 1, 1), conv_bn(64, 80, 1)
        self.conv2d_4a = conv_bn(80, 192, 3)
        self.mixed_5b = Branches([conv_bn(192, 96, 1), s(conv_bn(192, 48, 1), conv_bn(48, 64, 5, 1, 2)),
                                  s(conv_bn(192, 64, 1), conv_bn(64, 96, 3, 1, 1), conv_bn(96, 96, 3, 1, 1)),
                                  s(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_bn(192, 64, 1))])
        a = lambda: Branches([conv_bn(320, 32, 1), s(conv_bn(320, 32, 1), conv_bn(32, 32, 3, 1, 1)),
                              s(conv_bn(320, 32, 1), conv_bn(32, 48, 3, 1, 1), conv_bn(48, 64, 3, 1, 1))], (320, 128, 0.17, True))
        b = lambda: Branches([conv_bn(1088, 192, 1), s(conv_bn(1088, 128, 1), conv_bn(128, 160, (1, 7), 1, (0, 3)),
                                                      conv_bn(160, 192, (7, 1), 1, (3, 0)))], (1088, 384, 0.10, True))
        c = lambda scale=0.20, relu=True: Branches([conv_bn(2080, 192, 1), s(conv_bn(2080, 192, 1), conv_bn(192, 224, (1, 3), 1, (0, 1)),
                                                   conv_bn(224, 256, (3, 1), 1, (1, 0)))], (2080, 448, scale, relu))
        self.repeat = s(*[a() for _ in range(10)])
        self.mixed_6a = Branches([conv_bn(320, 384, 3, 2), s(conv_bn(320, 256, 1), conv_bn(256, 256, 3, 1, 1), conv_bn(256, 384, 3, 2)),
                                  nn.MaxPool2d(3, 2)])
        self.repeat_1 = s(*[b() for _ in range(20)])
        self.mixed_7a = Branches([s(conv_bn(1088, 256, 1), conv_bn(256, 384, 3, 2)), s(conv_bn(1088, 256, 1), conv_bn(256, 288, 3, 2)),
                                  s(conv_bn(1088, 256, 1), conv_bn(256, 288, 3, 1, 1), conv_bn(288, 320, 3, 2)), nn.MaxPool2d(3, 2)])
        self.repeat_2 = s(*[c() for _ in range(9)])
        self.block8 = c(1.0, False)
        self.conv2d_7b = conv_bn(2080, 1536, 1)
        self.classif = nn.Linear(1536, classes)

    def forward(self, x):
        x = F.max_pool2d(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))), 3, 2)
        x = F.max_pool2d(self.conv2d_4a(self.conv2d_3b(x)), 3, 2)
        for part in ("mixed_5b", "repeat", "mixed_6a", "repeat_1", "mixed_7a", "repeat_2", "block8", "conv2d_7b"):
            x = getattr(self, part)(x)
        return self.classif(x.mean((2, 3)))


class BnInception(nn.Module):
    """Cadene's: every layer an attribute of the network, convolutions with biases, BGR."""

    def __init__(self, classes=11):
        super().__init__()
        self.add("conv1_7x7_s2", 3, 64, 7, 2, 3)
        self.add("conv2_3x3_reduce", 64, 64, 1)
        self.add("conv2_3x3", 64, 192, 3, 1, 1)
        self.table = {"3a": (192, 64, 64, 64, 64, 96, "avg", 32), "3b": (256, 64, 64, 96, 64, 96, "avg", 64),
                      "3c": (320, 0, 128, 160, 64, 96, "s2", 0), "4a": (576, 224, 64, 96, 96, 128, "avg", 128),
                      "4b": (576, 192, 96, 128, 96, 128, "avg", 128), "4c": (576, 160, 128, 160, 128, 160, "avg", 128),
                      "4d": (608, 96, 128, 192, 160, 192, "avg", 128), "4e": (608, 0, 128, 192, 192, 256, "s2", 0),
                      "5a": (1056, 352, 192, 320, 160, 224, "avg", 128), "5b": (1024, 352, 192, 320, 192, 224, "max", 128)}
        for name, (i, one, r3, c3, rd, cd, pool, proj) in self.table.items():
            p, stride = f"inception_{name}_", 2 if pool == "s2" else 1
            if one:
                self.add(p + "1x1", i, one, 1)
            self.add(p + "3x3_reduce", i, r3, 1)
            self.add(p + "3x3", r3, c3, 3, stride, 1)
            self.add(p + "double_3x3_reduce", i, rd, 1)
            self.add(p + "double_3x3_1", rd, cd, 3, 1, 1)
            self.add(p + "double_3x3_2", cd, cd, 3, stride, 1)
            if proj:
                self.add(p + "pool_proj", i, proj, 1)
        self.last_linear = nn.Linear(1024, classes)

    def add(self, name, i, o, k, stride=1, padding=0):
        setattr(self, name, nn.Conv2d(i, o, k, stride, padding))
        setattr(self, name + "_bn", nn.BatchNorm2d(o))

    def unit(self, name, x):
        return F.relu(getattr(self, name + "_bn")(getattr(self, name)(x)))

    def forward(self, x):
        x = x.flip(1)  # RGB comes, BGR is read
        x = F.max_pool2d(self.unit("conv1_7x7_s2", x), 3, 2, 0, ceil_mode=True)
        x = F.max_pool2d(self.unit("conv2_3x3", self.unit("conv2_3x3_reduce", x)), 3, 2, 0, ceil_mode=True)
        for name, (_, one, _, _, _, _, pool, proj) in self.table.items():
            p = f"inception_{name}_"
            parts = [self.unit(p + "1x1", x)] if one else []
            parts.append(self.unit(p + "3x3", self.unit(p + "3x3_reduce", x)))
            parts.append(self.unit(p + "double_3x3_2", self.unit(p + "double_3x3_1", self.unit(p + "double_3x3_reduce", x))))
            pooled = {"avg": lambda: F.avg_pool2d(x, 3, 1, 1, count_include_pad=True), "max": lambda: F.max_pool2d(x, 3, 1, 1),
                      "s2": lambda: F.max_pool2d(x, 3, 2, 0, ceil_mode=True)}[pool]()
            parts.append(self.unit(p + "pool_proj", pooled) if proj else pooled)
            x = torch.cat(parts, 1)
        return self.last_linear(x.mean((2, 3)))


class MobileNet(nn.Module):
    """timm's mobilenetv1_100."""

    def __init__(self, classes=11):
        super().__init__()
        self.conv_stem, self.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        units = [[(64, 1)], [(128, 2), (128, 1)], [(256, 2), (256, 1)], [(512, 2)] + [(512, 1)] * 5, [(1024, 2), (1024, 1)]]
        i, stages = 32, []
        for stage in units:
            blocks = []
            for o, stride in stage:
                m = nn.Module()
                m.conv_dw, m.bn1 = nn.Conv2d(i, i, 3, stride, 1, groups=i, bias=False), nn.BatchNorm2d(i)
                m.conv_pw, m.bn2 = nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o)
                blocks.append(m)
                i = o
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(1024, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv_stem(x)))
        for stage in self.blocks:
            for m in stage:
                x = F.relu(m.bn2(m.conv_pw(F.relu(m.bn1(m.conv_dw(x))))))
        return self.classifier(x.mean((2, 3)))


def cases():
    sixteenth = lambda c: max(1, c // 16)
    timm_se = ("se", lambda c: Excite(c, sixteenth(c), ("fc1", "fc2")))
    timm_se_8 = ("se", lambda c: Excite(c, max(8, int(c / 16 + 4) // 8 * 8), ("fc1", "fc2")))
    cadene_se = ("se_module", lambda c: Excite(c, sixteenth(c), ("fc1", "fc2")))
    mosko_se = ("se", lambda c: Excite(c, sixteenth(c), ("fc", "0", "2"), dense=True, bias=False))
    b = [1, 2, 1, 1]
    yield "timm/seresnet50", b, 64, ImageNet(bottlenecks(b, 64, 64, 256, se=timm_se), False)
    yield "timm/seresnet18", b, 64, ImageNet(basics(b, timm_se_8, False), False, features=512)
    yield "timm/seresnext50_32x4d", b, 64, ImageNet(bottlenecks(b, 64, 128, 256, 32, se=timm_se), False)
    yield "timm/senet154", [2] * 4, 64, ImageNet(
        bottlenecks([2] * 4, 128, 256, 256, 64, se=timm_se, first=128, down_kernel=3), False, stem="deep")
    yield "timm/legacy_seresnet50", b, 64, ImageNet(
        bottlenecks(b, 64, 64, 256, stride_first=True, se=cadene_se), True, "last_linear", "layer0")
    yield "timm/legacy_seresnet18", b, 64, ImageNet(basics(b, cadene_se, True), True, "last_linear", "layer0", 512)
    yield "cadene/se_resnext50_32x4d", b, 64, ImageNet(
        bottlenecks(b, 64, 128, 256, 32, se=cadene_se), True, "last_linear", "layer0")
    yield "cadene/senet154", [2] * 4, 64, ImageNet(
        bottlenecks([2] * 4, 128, 256, 256, 64, se=cadene_se, first=128, down_kernel=3), True, "last_linear", "layer0_deep")
    yield "moskomule/se_resnet50", b, 64, ImageNet(bottlenecks(b, 64, 64, 256, se=mosko_se), False)
    yield "timm/inception_resnet_v2", [], 107, InceptionResNet()
    yield "cadene/bninception", [], 64, BnInception()
    yield "timm/mobilenetv1_100", [], 64, MobileNet()
    try:
        import torchvision
    except ImportError:
        print("no torchvision: its own networks are left out")
        return
    m = torchvision.models
    from torchvision.models.resnet import BasicBlock, Bottleneck as TorchBottleneck, ResNet
    yield "torchvision/resnet18", b, 64, ResNet(BasicBlock, b, num_classes=11)
    yield "torchvision/resnet50", b, 64, ResNet(TorchBottleneck, b, num_classes=11)
    yield "torchvision/resnext50_32x4d", b, 64, ResNet(TorchBottleneck, b, num_classes=11, groups=32, width_per_group=4)
    yield "torchvision/vgg16_bn", [], 224, m.vgg16_bn(num_classes=11)


def main(folder):
    torch.manual_seed(3)
    rng = np.random.default_rng(5)
    for name, blocks, size, net in cases():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.uniform_(module.bias, -0.2, 0.2)
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.uniform_(module.bias, -0.2, 0.2)
        net.eval()
        x = torch.from_numpy(rng.standard_normal((2, 3, size, size)).astype(np.float32))
        with torch.no_grad():
            logits = net(x)
        own = pathlib.Path(folder) / name.replace("/", "_")
        own.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), own / "weights.pth")
        np.save(own / "input.npy", x.numpy())
        np.save(own / "logits.npy", logits.numpy())
        (own / "case.json").write_text(json.dumps({"source": name, "blocks": blocks, "size": size}))
        print(name, "largest logit", float(logits.abs().max()))


if __name__ == "__main__":
    main(sys.argv[1])
