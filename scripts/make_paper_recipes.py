#!/usr/bin/env python3
"""Writes recipes/paper/, a recipe for every row of the SENet paper's tables 2, 4, 5 and 10 to 16 that
is a residual network.

Usage: python3 scripts/make_paper_recipes.py       (rewrites the files; nothing else reads this)
Hyper-parameters are the paper's (arXiv 1709.01507v4, sections 5 and 6), and for CIFAR those of the
papers it refers to. Where it is silent the values say so below with "ours". Crops of random size,
which ImageNet training wants, are not a recipe key yet; everything else of the protocol is.
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent / "recipes" / "paper"
written = []


def write(file, model, data, optimizer, schedule, epochs, **more):
    recipe = {"model": model, "data": data,
              "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": False,
                            "weight_decay": 1e-4, **optimizer},
              "schedule": schedule, **more, "epochs": epochs, "seed": 1}
    path = HERE / (file + ".json")
    path.write_text(json.dumps(recipe, indent=2) + "\n")
    written.append(path)


def imagenet(batch):
    return {"kind": "folder", "dir": "data-cache/imagenet", "augment": {"flip": True},
            "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            "batch": batch}


def cifar(classes, batch, cutout=0):
    augment = {"pad_crop": 4, "flip": True}
    if cutout:
        augment["cutout"] = cutout
    return {"kind": f"cifar{classes}", "dir": f"data-cache/cifar{classes}", "augment": augment,
            "normalize": "dataset", "batch": batch}


def with_se(name, se):
    """A plain network and its SE twin."""
    yield name, {"name": name}
    yield "se_" + name, {"name": "se_" + name, "se": se}


# Table 2: batch 1024, lr 0.6, a tenth every 30 epochs, 100 epochs, r = 16. Weight decay: ours.
for name in ("resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x4d"):
    for file, model in with_se(name, {"reduction": 16}):
        write("table2_" + file, model, imagenet(1024), {},
              {"name": "step", "lr": 0.6, "step_epochs": 30, "gamma": 0.1}, 100)

# Tables 4 and 5.
for classes, table in ((10, "table4"), (100, "table5")):
    # He et al. 2016b: 64k steps of 128, a tenth at 32k and 48k, 400 steps of 0.01 first. 391 steps
    # are an epoch.
    for name in ("preresnet110", "preresnet164"):
        for file, model in with_se(name, {"reduction": 16}):
            write(f"{table}_{file}", model, cifar(classes, 128), {},
                  {"name": "multistep", "lr": 0.1, "milestones": [81.84, 122.76], "gamma": 0.1,
                   "warmup": "constant", "warmup_start_lr": 0.01, "warmup_epochs": 1.023}, 164)
    # Zagoruyko and Komodakis 2016, scripts/train_cifar.sh. Batch and decay: their paper.
    for file, model in with_se("wrn16_8", {"reduction": 16}):
        write(f"{table}_{file}", model, cifar(classes, 128),
              {"nesterov": True, "weight_decay": 5e-4},
              {"name": "multistep", "lr": 0.1, "milestones": [60, 120, 160], "gamma": 0.2}, 200)
# Gastaldi 2017 with DeVries and Taylor 2017: cosine, 1800 epochs, Cutout of 16 and 8 pixels. For
# CIFAR-100 a batch of 32 and lr 0.025 as the paper's; decays are those of the Cutout authors' runs.
for file, model in with_se("shake_shake26_2x96d", {"reduction": 16}):
    write("table4_" + file, model, cifar(10, 128, 16), {"nesterov": True},
          {"name": "cosine", "lr": 0.2}, 1800)
for file, model in with_se("shake_even29_2x4x64d", {"reduction": 16}):
    write("table5_" + file, model, cifar(100, 32, 8), {"nesterov": True, "weight_decay": 5e-4},
          {"name": "cosine", "lr": 0.025}, 1800)


def ablation(file, **se):
    """Section 6, SE-ResNet-50 without biases: the fixed schedule of its footnote, 270 epochs with
    drops at 125, 200 and 250, in place of "when the loss plateaus". Weight decay and the amount of
    label smoothing: ours."""
    model = {"name": "se_resnet50", "se": {"bias": False, **se}} if se else {"name": "resnet50"}
    write(file, model, imagenet(256), {},
          {"name": "multistep", "lr": 0.1, "milestones": [125, 200, 250], "gamma": 0.1}, 270,
          label_smoothing=0.1)


ablation("table10_resnet50")
for r in (2, 4, 8, 16, 32):
    ablation(f"table10_se_resnet50_r{r}", reduction=r)
for squeeze in ("max", "avg"):
    ablation(f"table11_se_resnet50_{squeeze}", squeeze=squeeze)
for gate in ("relu", "tanh", "sigmoid"):
    ablation(f"table12_se_resnet50_{gate}", gate=gate)
for stage in (2, 3, 4):
    ablation(f"table13_se_resnet50_stage{stage}", stages=[stage])
for placement in ("standard", "pre", "post", "identity"):
    ablation(f"table14_se_resnet50_{placement}", placement=placement)
ablation("table15_se_resnet50_conv3x3", placement="conv3x3")
ablation("table16_se_resnet50_nosqueeze", squeeze="none")

print(len(written), "recipes")
