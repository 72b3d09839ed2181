"""Runs: train, gates as arrays, export."""
import os
from typing import Any, Optional, Union

import numpy

from . import _exciton
from ._exciton import Module, Observer, Outcome, Recipe, TrainedModel
from .progress import ProgressBar

__all__ = ["export", "gates", "train"]


def train(recipe: Union[Recipe, dict[str, Any], str, "os.PathLike[str]"], observer: Optional[Observer] = None, *,
          out: Union[str, "os.PathLike[str]"], resume: bool = False, fit: bool = False, change: bool = False,
          tensorboard: bool = False) -> Outcome:
    """Trains as a recipe says, into the run folder `out`; exciton.load opens what came of it.

    `recipe` is a Recipe, a dictionary, a JSON text or a file. `observer` is told what happens (a progress bar,
    unless given); its step() stops the run by returning False, after a checkpoint. Ctrl-C does the same, and
    raises KeyboardInterrupt: resume=True goes on from there with the same bits. Other Python threads run meanwhile.
    """
    what = recipe if isinstance(recipe, (Recipe, dict)) else os.fspath(recipe)
    return _exciton._run(what, observer or ProgressBar(), os.fspath(out), resume, fit, change, tensorboard)


def gates(model: Union[Module, TrainedModel], images: Any) -> dict[str, "numpy.ndarray[Any, Any]"]:
    """The gates of every unit for images [N, H, W, C], normalised: {"stage1.0.se": [N, C] float32}."""
    net = model.model if isinstance(model, TrainedModel) else model
    with _exciton.record_gates(net) as recorder, _exciton.no_grad():
        net(images)
    return {name: tensor.numpy() for name, tensor in recorder.gates.items()}


def export(run: Union[str, "os.PathLike[str]"], out: Union[str, "os.PathLike[str]"], *, to: str = "",
           dtype: str = "f32", fold: bool = False, input: str = "normalized", data: str = "") -> str:
    """Writes a run's weights as .safetensors, or its network as .onnx, and compares what it wrote with the network.

    `to` names a source whose names and shapes they get ("timm/seresnet50"). Returns the comparison in words.
    Errors: what has no form there; logits that differ.
    """
    return _exciton._export(os.fspath(run), os.fspath(out), to, dtype, fold, input, data)
