"""Models by name."""
import json
from typing import Any

from . import _exciton
from ._exciton import Module

__all__ = ["make", "names"]


def make(name: str, *, classes: int = 10, image_channels: int = 3, seed: int = 1, **options: Any) -> Module:
    """A fresh model: images [N, H, W, image_channels] -> logits [N, classes].

    `options` are the keys of a recipe's "model": se={"reduction": 8}, blocks=[2, 2, 2], dropout=0.1.
    Errors: an unknown name or key, with the nearest known.
    """
    text = json.dumps({"model": {"name": name, "classes": classes, **options}})
    return _exciton._make_model(text, image_channels, seed)[0]


def names() -> list[str]:
    """Every model there is."""
    return _exciton._model_names()
