#!/usr/bin/env python3
"""Writes recipes/paper/: a recipe for every row of the SENet paper's tables 2 to 5 and 10 to 16, and
for SENet-154 of table 8.

Usage: python3 scripts/make_paper_recipes.py       (rewrites the files; nothing else reads this)
Hyper-parameters are the paper's (arXiv 1709.01507v4, sections 5 and 6, and the appendix), and for
CIFAR those of the papers it refers to. Where it is silent the values say so below with "ours".

The object "paper" of a recipe holds what the paper prints for that row: errors in percent, GFLOPs
(which are multiply-adds), millions of parameters; and "parameters", the exact count, by arithmetic
(equation 5) or as published by imgclsmob. It changes nothing in training; `exciton recipes` lists it.
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent / "recipes" / "paper"
written = []


def paper(table, row, top1, top5=None, gflops=None, millions=None, exact=None):
    printed = {"table": table, "row": row, "top1_error": top1, "top5_error": top5, "gflops": gflops,
               "parameters_millions": millions, "parameters": exact}
    return {key: value for key, value in printed.items() if value is not None}


def write(file, result, model, data, optimizer, schedule, epochs, **more):
    recipe = {"paper": result, "model": model, "data": data,
              "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": False,
                            "weight_decay": 1e-4, **optimizer},
              "schedule": schedule, **more, "epochs": epochs, "seed": 1}
    path = HERE / (file + ".json")
    path.write_text(json.dumps(recipe, indent=2) + "\n")
    written.append(path)


def imagenet(batch, size=224, resize=256, smallest=0.08):
    """Section 5.1: crops of random size and shape, mirrored at random; for tests the shorter side at
    256 and the middle 224 (352 and 299 for Inception-ResNet-v2). That the smallest crop has 8 % of the
    image is the authors' released models' choice. The paper subtracts the mean colour; division by
    the deviation is ours."""
    return {"kind": "folder", "dir": "data-cache/imagenet", "image_size": size,
            "augment": {"random_resized_crop": {"scale": [smallest, 1], "ratio": [0.75, 1.3333]},
                        "flip": True},
            "eval": {"resize": resize},
            "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            "batch": batch}


def cifar(classes, batch, cutout=0):
    augment = {"pad_crop": 4, "flip": True}
    if cutout:
        augment["cutout"] = cutout
    return {"kind": f"cifar{classes}", "dir": f"data-cache/cifar{classes}", "augment": augment,
            "normalize": "dataset", "batch": batch}


def plain(name):
    return {"name": name}


def with_se(name, **se):
    return {"name": "se_" + name, "se": {"reduction": 16, **se}}


# Table 2: the authors' re-implementation and SE. Batch 1024, lr 0.6, a tenth every 30 epochs, 100
# epochs. Weight decay: ours. Name, row, then top-1, top-5, GFLOPs and exact parameters of both.
TABLE_2 = [
    ("resnet50", "ResNet-50", (24.80, 7.48, 3.86, 25_557_032), (23.29, 6.62, 3.87, 28_088_024)),
    ("resnet101", "ResNet-101", (23.17, 6.52, 7.58, 44_549_160), (22.38, 6.07, 7.60, 49_326_872)),
    ("resnet152", "ResNet-152", (22.42, 6.34, 11.30, 60_192_808), (21.57, 5.73, 11.32, 66_821_848)),
    ("resnext50_32x4d", "ResNeXt-50 (32x4d)", (22.11, 5.90, 4.24, 25_028_904),
     (21.10, 5.49, 4.25, 27_559_896)),
    ("resnext101_32x4d", "ResNeXt-101 (32x4d)", (21.18, 5.57, 7.99, 44_177_704),
     (20.70, 5.01, 8.00, 48_955_416)),
    ("vgg16_bn", "VGG-16", (27.02, 8.81, 15.47, 138_361_768), (25.22, 7.70, 15.48, 138_592_560)),
    ("bn_inception", "BN-Inception", (25.38, 7.89, 2.03, 11_285_224),
     (24.23, 7.14, 2.04, 11_931_622)),
    ("inception_resnet_v2", "Inception-ResNet-v2", (20.37, 5.21, 11.75, 55_843_464),
     (19.80, 4.79, 11.76, 64_387_444)),
]
for name, row, one, two in TABLE_2:
    for file, label, model, (top1, top5, gflops, exact) in (
            (name, row, plain(name), one), ("se_" + name, "SE-" + row, with_se(name), two)):
        data = imagenet(1024, 299, 352) if "inception_resnet" in name else imagenet(1024)
        write("table2_" + file, paper("2", label, top1, top5, gflops, exact=exact), model, data, {}, {"name": "step", "lr": 0.6, "step_epochs": 30, "gamma": 0.1}, 100)

# Table 3: batch 256, lr 0.1, 400 epochs. The paper drops the rate "when the validation loss
# plateaus"; the fixed epochs of the drops, weight decay, and how much weaker the
# augmentation is, are ours.
TABLE_3 = [
    ("mobilenet", "MobileNet 1.0", (28.4, 9.4, 0.569, 4.2, 4_231_976),
     (25.3, 7.7, 0.572, 4.7, 4_718_044)),
    ("shufflenet", "ShuffleNet 1x (g = 3)", (32.6, 12.5, 0.140, 1.8, 1_865_728),
     (31.0, 11.1, 0.142, 2.4, 2_484_533)),
]
for name, row, one, two in TABLE_3:
    for file, label, model, (top1, top5, gflops, millions, exact) in (
            (name, row, plain(name), one), ("se_" + name, "SE-" + row, with_se(name), two)):
        write("table3_" + file, paper("3", label, top1, top5, gflops, millions, exact), model,
              imagenet(256, smallest=0.35), {"weight_decay": 4e-5},
              {"name": "multistep", "lr": 0.1, "milestones": [200, 300, 360], "gamma": 0.1}, 400)

# Tables 4 and 5: errors of the plain network and of the one with SE, and exact parameters with ten
# outputs; each further output adds the width of the last stage and a bias.
CIFAR = {
    "preresnet110": ("ResNet-110 (pre-activation)", 1_730_522, 1_744_760, 64),
    "preresnet164": ("ResNet-164 (pre-activation)", 1_703_258, 1_905_362, 256),
    "wrn16_8": ("WRN-16-8", 10_961_370, 11_049_290, 512),
    "shake_shake26_2x96d": ("Shake-Shake 26 2x96d + Cutout", None, None, 0),
    "shake_even29_2x4x64d": ("Shake-Even 29 2x4x64d + Cutout", None, None, 0),
}
ERRORS = {
    10: {"preresnet110": (6.37, 5.21), "preresnet164": (5.46, 4.39), "wrn16_8": (4.27, 3.88),
         "shake_shake26_2x96d": (2.56, 2.12)},
    100: {"preresnet110": (26.88, 23.85), "preresnet164": (24.33, 21.31), "wrn16_8": (20.43, 19.14),
          "shake_even29_2x4x64d": (15.85, 15.41)},
}


def cifar_pair(classes, name):
    """File, paper's result and model of a plain network and its SE twin."""
    table = "4" if classes == 10 else "5"
    row, *exact, width = CIFAR[name]
    for se in (0, 1):
        count = exact[se] + (classes - 10) * (width + 1) if exact[se] else None
        result = paper(table, ("SE-" if se else "") + row, ERRORS[classes][name][se], exact=count)
        yield (f"table{table}_" + ("se_" if se else "") + name, result,
               with_se(name) if se else plain(name))


for classes in (10, 100):
    # He et al. 2016b: 64k steps of 128, a tenth at 32k and 48k, 400 steps of 0.01 first. 391 steps
    # are an epoch.
    for name in ("preresnet110", "preresnet164"):
        for file, result, model in cifar_pair(classes, name):
            write(file, result, model, cifar(classes, 128), {},
                  {"name": "multistep", "lr": 0.1, "milestones": [81.84, 122.76], "gamma": 0.1,
                   "warmup": "constant", "warmup_start_lr": 0.01, "warmup_epochs": 1.023}, 164)
    # Zagoruyko and Komodakis 2016, scripts/train_cifar.sh. Batch and decay: their paper.
    for file, result, model in cifar_pair(classes, "wrn16_8"):
        write(file, result, model, cifar(classes, 128), {"nesterov": True, "weight_decay": 5e-4},
              {"name": "multistep", "lr": 0.1, "milestones": [60, 120, 160], "gamma": 0.2}, 200)
# Gastaldi 2017 with DeVries and Taylor 2017: cosine, 1800 epochs, Cutout of 16 and 8 pixels. For
# CIFAR-100 a batch of 32 and lr 0.025 as the paper's; decays are those of the Cutout authors' runs.
for file, result, model in cifar_pair(10, "shake_shake26_2x96d"):
    write(file, result, model, cifar(10, 128, 16), {"nesterov": True},
          {"name": "cosine", "lr": 0.2}, 1800)
for file, result, model in cifar_pair(100, "shake_even29_2x4x64d"):
    write(file, result, model, cifar(100, 32, 8), {"nesterov": True, "weight_decay": 5e-4},
          {"name": "cosine", "lr": 0.025}, 1800)

# SENet-154 of table 8, trained as the appendix says: batch 2048, lr 1, dropout 0.2 (the model's own),
# label smoothing, batch norms frozen at the end. The schedule, the amount of smoothing and the number
# of frozen epochs: ours.
write("table8_senet154", paper("8", "SENet-154", 18.68, 4.47, exact=115_088_984), plain("senet154"),
      imagenet(2048), {}, {"name": "step", "lr": 1.0, "step_epochs": 30, "gamma": 0.1}, 100,
      label_smoothing=0.1, freeze_norm_epochs=5)


def ablation(file, result, **se):
    """Section 6, SE-ResNet-50 without biases: the fixed schedule of its footnote, 270 epochs with
    drops at 125, 200 and 250, in place of "when the loss plateaus". Weight decay and the amount of
    label smoothing: ours."""
    model = {"name": "se_resnet50", "se": {"bias": False, **se}} if se else {"name": "resnet50"}
    write(file, result, model, imagenet(256), {},
          {"name": "multistep", "lr": 0.1, "milestones": [125, 200, 250], "gamma": 0.1}, 270,
          label_smoothing=0.1)


PLAIN = dict(top1=23.30, top5=6.55, gflops=3.86, millions=25.6, exact=25_557_032)
SE = dict(top1=22.28, top5=6.03, gflops=3.87, millions=28.1, exact=28_071_976)

ablation("table10_resnet50",
         paper("10", "ResNet-50", 23.30, 6.55, millions=25.6, exact=25_557_032))
for r, top1, top5, millions, exact in ((2, 22.29, 6.00, 45.7, 45_676_584),
                                       (4, 22.25, 6.09, 35.7, 35_616_808),
                                       (8, 22.26, 5.99, 30.7, 30_586_920),
                                       (16, 22.28, 6.03, 28.1, 28_071_976),
                                       (32, 22.72, 6.20, 26.9, 26_814_504)):
    ablation(f"table10_se_resnet50_r{r}",
             paper("10", f"SE-ResNet-50, r = {r}", top1, top5, millions=millions, exact=exact),
             reduction=r)
for squeeze, top1, top5 in (("max", 22.57, 6.09), ("avg", 22.28, 6.03)):
    ablation(f"table11_se_resnet50_{squeeze}",
             paper("11", f"SE-ResNet-50, {squeeze} squeeze", top1, top5, exact=SE["exact"]),
             squeeze=squeeze)
for gate, top1, top5 in (("relu", 23.47, 6.98), ("tanh", 23.00, 6.38), ("sigmoid", 22.28, 6.03)):
    ablation(f"table12_se_resnet50_{gate}",
             paper("12", f"SE-ResNet-50, {gate} gate", top1, top5, exact=SE["exact"]), gate=gate)
ablation("table13_resnet50", paper("13", "ResNet-50", **PLAIN))
for stage, top1, top5, millions, exact in ((2, 23.03, 6.48, 25.6, 25_581_608),
                                           (3, 23.04, 6.32, 25.7, 25_688_104),
                                           (4, 22.68, 6.22, 26.4, 26_343_464)):
    ablation(f"table13_se_resnet50_stage{stage}",
             paper("13", f"SE_Stage_{stage}", top1, top5, 3.86, millions, exact), stages=[stage])
ablation("table13_se_resnet50_all", paper("13", "SE_All", **SE), stages=[2, 3, 4, 5])
# Before a unit the first block of each stage sees the channels of the stage before.
for placement, row, top1, top5, exact in (("standard", "SE", 22.28, 6.03, SE["exact"]),
                                          ("pre", "SE-PRE", 22.23, 6.00, 27_548_200),
                                          ("post", "SE-POST", 22.78, 6.35, SE["exact"]),
                                          ("identity", "SE-Identity", 22.20, 6.15, SE["exact"])):
    ablation(f"table14_se_resnet50_{placement}", paper("14", row, top1, top5, exact=exact),
             placement=placement)
ablation("table15_se_resnet50_standard", paper("15", "SE", **SE), placement="standard")
ablation("table15_se_resnet50_conv3x3",
         paper("15", "SE_3x3", 22.48, 6.02, 3.86, 25.8, 25_714_216), placement="conv3x3")
ablation("table16_resnet50", paper("16", "ResNet-50", **PLAIN))
ablation("table16_se_resnet50_nosqueeze",
         paper("16", "NoSqueeze", 22.93, 6.39, 4.27, 28.1, 28_071_976), squeeze="none")
ablation("table16_se_resnet50_standard", paper("16", "SE", **SE), squeeze="avg")

for old in set(HERE.glob("*.json")) - set(written):
    old.unlink()
print(len(written), "recipes")
