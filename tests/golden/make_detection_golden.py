#!/usr/bin/env python3
"""Records torchvision's parts of Faster R-CNN and a whole small one, for tests/nn/detection_test.cpp.

Usage: python3 tests/golden/make_detection_golden.py > tests/golden/detection.json
Made with PyTorch 1.13 and torchvision 0.14 on the CPU (Debian's python3-torchvision), in f32 as the
detector itself runs. Weights and images come from a formula both sides know: a parameter's key is
made of its name in Exciton, so the file holds results only.
"""
import json
import math
import re
from functools import partial

import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN, _utils
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms, box_iou, nms
from torchvision.ops.misc import FrozenBatchNorm2d

from noise import noise

torch.set_num_threads(1)
torch.manual_seed(5)


def key_of(name):
    key = 7
    for c in name.encode():
        key = (key * 31 + c) % 99991
    return key


def value_of(name, shape):
    v = noise(math.prod(shape), key_of(name)).reshape(shape)
    if len(shape) == 1:
        return {"weight": 1 + 0.2 * v, "running_var": 1 + 0.2 * v}.get(name.split(".")[-1], 0.2 * v)
    scale = math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))
    last = {"rpn.cls_logits": 1, "rpn.bbox_pred": 0.02, "roi.cls_score": 0.1, "roi.bbox_pred": 0.3}
    return v * scale * last.get(name.rsplit(".", 1)[0], 1)


def boxes(count, size=90.0):
    corner = torch.rand(count, 2) * size
    return torch.cat([corner, corner + 3 + torch.rand(count, 2) * size / 2], 1)


def rounded(t, digits=6):
    return [rounded(x, digits) for x in t] if isinstance(t, (list, tuple)) else \
        rounded(t.tolist(), digits) if torch.is_tensor(t) else \
        round(t, digits) if isinstance(t, float) else t


out = {}
a, b = boxes(6), boxes(7)
out["iou"] = {"a": rounded(a), "b": rounded(b),
              "iou": rounded(box_iou(torch.tensor(rounded(a)), torch.tensor(rounded(b))).flatten(), 8)}

out["coder"] = []
for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
    coder = _utils.BoxCoder(weights)
    anchors, objects = torch.tensor(rounded(boxes(4))), torch.tensor(rounded(boxes(4)))
    raw = torch.tensor(rounded(torch.randn(4, 4) * 2))
    raw[0, 2] = 60.0  # beyond the limit of the logarithm
    out["coder"].append({"weights": weights, "anchors": rounded(anchors), "objects": rounded(objects),
                         "codes": rounded(coder.encode_single(objects, anchors)), "raw": rounded(raw),
                         "decoded": rounded(coder.decode_single(raw, anchors), 6)})

many = torch.tensor(rounded(boxes(60, 60.0)))
scores, classes = torch.tensor(rounded(torch.rand(60))), torch.randint(0, 3, (60,))
out["nms"] = {"boxes": rounded(many), "scores": rounded(scores), "classes": classes.tolist(),
              "keep_05": nms(many, scores, 0.5).tolist(), "keep_07": nms(many, scores, 0.7).tolist(),
              "by_class": batched_nms(many, scores, classes, 0.5).tolist()}

out["anchors"] = []
for size, ratios, grid, image in ((32, (0.5, 1.0, 2.0), (2, 3), (16, 24)),
                                  (50, (0.7, 1.0), (3, 2), (96, 50)), (16, (3.0,), (1, 1), (32, 32))):
    made = AnchorGenerator(((size,),), (ratios,))
    images = ImageList(torch.zeros(1, 3, *image), [image])
    out["anchors"].append({"size": size, "ratios": ratios, "map": grid, "image": image,
                           "anchors": rounded(made(images, [torch.zeros(1, 1, *grid)])[0])})

out["matcher"] = []
for high, low, best in ((0.7, 0.3, True), (0.5, 0.5, False), (0.8, 0.2, True)):
    iou = torch.tensor(rounded(box_iou(boxes(4), boxes(25)), 3))
    iou[2] *= 0.1  # an object that only its best boxes reach
    iou[3, 4] = iou[3, 9] = iou[3].max() + 0.01
    iou = torch.tensor(rounded(iou, 4))
    matches = _utils.Matcher(high, low, best)(iou)
    out["matcher"].append({"high": high, "low": low, "keep_best": best, "objects": 4, "boxes": 25,
                           "iou": rounded(iou.flatten(), 4), "matches": matches.tolist()})

# The whole detector. Images are a multiple of 32 and as large as it wants them, so nothing is resized.
HEIGHT, WIDTH, CHANNELS, CLASSES = 96, 128, 16, 5
body = resnet18(norm_layer=partial(FrozenBatchNorm2d, eps=1e-5))
backbone = _resnet_fpn_extractor(body, 5, [1, 2, 3, 4])
backbone.fpn = type(backbone.fpn)([64, 128, 256, 512], CHANNELS, extra_blocks=backbone.fpn.extra_blocks)
backbone.out_channels = CHANNELS
anchors = AnchorGenerator(tuple((s,) for s in (16, 32, 64, 96, 128)), ((0.5, 1.0, 2.0),) * 5)


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(CHANNELS * 49, 32), nn.Linear(32, 32)

    def forward(self, x):
        return torch.relu(self.fc7(torch.relu(self.fc6(x.flatten(1)))))


class Predictor(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_score, self.bbox_pred = nn.Linear(32, CLASSES + 1), nn.Linear(32, 4 * (CLASSES + 1))

    def forward(self, x):
        return self.cls_score(x), self.bbox_pred(x)


THRESHOLD = 0.15
net = FasterRCNN(backbone, rpn_anchor_generator=anchors, box_head=Head(), box_predictor=Predictor(),
                 min_size=HEIGHT, max_size=WIDTH, image_mean=[0, 0, 0], image_std=[1, 1, 1],
                 rpn_pre_nms_top_n_train=300, rpn_post_nms_top_n_train=100, rpn_pre_nms_top_n_test=200,
                 rpn_post_nms_top_n_test=80, rpn_batch_size_per_image=10**6, box_batch_size_per_image=10**6,
                 box_score_thresh=THRESHOLD, box_detections_per_img=50)
# smooth L1 has beta 1/9 in both stages there.


def our_name(name):
    for theirs, ours in ((r"^backbone\.fpn\.(inner|layer)_blocks\.(\d)\.0", r"fpn.\1.\2"), (r"^backbone\.body", "backbone"),
                         (r"\.layer(\d)\.", r".stage\1."), (r"downsample\.0", "shortcut.conv"),
                         (r"downsample\.1", "shortcut.bn"), (r"^rpn\.head\.conv\.0\.0", "rpn.conv"),
                         (r"^rpn\.head", "rpn"), (r"^roi_heads\.box_(head|predictor)", "roi")):
        name = re.sub(theirs, ours, name) if not (ours.startswith(".stage") and name.startswith("fpn")) else name
    return name


names = {}
with torch.no_grad():
    for name, t in net.state_dict().items():
        ours = our_name(name)
        names[ours] = list(t.shape)
        if ours == "roi.fc6.weight":  # channels last here
            v = value_of(ours, list(t.shape)).reshape(-1, 7, 7, CHANNELS).permute(0, 3, 1, 2).reshape(t.shape)
        else:
            v = value_of(ours, list(t.shape))
        t.copy_(v)


def images_of(key):
    return [noise(HEIGHT * WIDTH * 3, key + n).reshape(HEIGHT, WIDTH, 3).permute(2, 0, 1).float() for n in range(2)]


targets = [{"boxes": torch.tensor([[3.0, 5, 60, 70], [40, 20, 100, 90], [70, 8, 90, 30]]),
            "labels": torch.tensor([1, 3, 5])},
           {"boxes": torch.tensor([[10.0, 12, 31, 44]]), "labels": torch.tensor([2])}]


def answers(images):
    net.train()
    losses = {name: float(value) for name, value in net(images, targets).items()}
    net.eval()
    with torch.no_grad():
        batch, _ = net.transform(images)
        assert batch.tensors.shape[-2:] == (HEIGHT, WIDTH)
        proposals, _ = net.rpn(batch, net.backbone(batch.tensors))
        return losses, proposals, net(images)


def agree(a, b):
    """Of two answers: no jump between them."""
    close = lambda x, y: x.shape == y.shape and bool(((x - y).abs() < 2e-3).all())
    return (all(abs(a[0][name] - b[0][name]) < 2e-5 for name in a[0])
            and all(map(close, a[1], b[1]))
            and all(close(x["boxes"], y["boxes"]) and torch.equal(x["labels"], y["labels"]) for x, y in zip(a[2], b[2])))


# A detector is not continuous: a proposal may lie on the threshold of suppression, and torchvision's
# ROI align reads nothing at all for a point a hair below the last row of a map (a region narrower than
# a pixel is taken as one pixel wide, and then sticks out). Sums in another order are off by some 1e-6,
# so the images are the first whose answers stand when they change by as much.
for KEY in range(100000, 101000, 10):
    images = images_of(KEY)
    losses, proposals, found = first = answers(images)
    nudged = (answers([x * (1 + 4e-6 * torch.randn_like(x)) for x in images]) for _ in range(20))
    if min(len(d["boxes"]) for d in found) > 5 and all(agree(first, other) for other in nudged):
        break
else:
    raise SystemExit("no images whose answers are stable")
out["faster_rcnn"] = {
    "image": [HEIGHT, WIDTH], "noise": KEY, "score_threshold": THRESHOLD, "names": names,
    "targets": [{"boxes": t["boxes"].tolist(), "labels": (t["labels"] - 1).tolist()} for t in targets],
    **losses,
    "proposals": rounded(proposals, 4),
    "detections": [{"boxes": rounded(d["boxes"], 4), "labels": (d["labels"] - 1).tolist(),
                    "scores": rounded(d["scores"], 7)} for d in found]}
print(json.dumps(out, separators=(",", ":")))
