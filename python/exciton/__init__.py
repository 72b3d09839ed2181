"""Exciton: SE networks trained on CPUs, from scratch in C++20.

    import exciton
    model = exciton.models.make("se_resnet20", classes=10)
    sgd = exciton.optim.SGD(model, lr=0.1, momentum=0.9, nesterov=True)
    with exciton.Tape() as tape:
        loss = exciton.ops.cross_entropy(model(images), labels)   # images [N, H, W, C], labels [N]
        tape.backward(loss)
    sgd.step()

Tensors share their memory with NumPy. exciton.train runs a recipe, exciton.load opens what came of it.
"""
from . import autograd, data, models, nn, ops, optim
from ._exciton import (
    DataNotFound, Error, Evaluation, EpochLine, Generator, Importance, Inspection, Loop, NotFinite, Observer, Outcome,
    Parameter, Prediction, ReadOnlyTensor, Recipe, RunError, RunInfo, StepProgress, StepResult, Tape, Tensor,
    TrainedModel, UnitStats, Var, __version__, default_generator, evaluate, first_recipe, from_dlpack, from_numpy, full,
    get_num_threads, gradcheck, import_weights, inspect, load, load_plugin, memory_stats, no_grad, ones, predict, rand,
    randn, record_gates, register_attention, register_model, replace_gates, set_num_threads, tensor, zeros)
from .autograd import Function
from .progress import ProgressBar
from .runs import export, gates, train

float32, bfloat16, float64, int64, uint8 = "f32", "bf16", "f64", "i64", "u8"


def manual_seed(seed: int) -> None:
    """Begins the random numbers of layers that are made without a generator again, from this seed."""
    default_generator.manual_seed(seed)


__all__ = [
    "DataNotFound", "EpochLine", "Error", "Evaluation", "Function", "Generator", "Importance", "Inspection", "Loop",
    "NotFinite", "Observer", "Outcome", "Parameter", "Prediction", "ProgressBar", "ReadOnlyTensor", "Recipe",
    "RunError", "RunInfo", "StepProgress", "StepResult", "Tape", "Tensor", "TrainedModel", "UnitStats", "Var",
    "__version__", "autograd", "bfloat16", "data", "default_generator", "evaluate", "export", "first_recipe", "float32",
    "float64", "from_dlpack", "from_numpy", "full", "gates", "get_num_threads", "gradcheck", "import_weights",
    "inspect", "int64", "load", "load_plugin", "manual_seed", "memory_stats", "models", "nn", "no_grad", "ones", "ops",
    "optim", "predict", "rand", "randn", "record_gates", "register_attention", "register_model", "replace_gates",
    "set_num_threads", "tensor", "train", "uint8", "zeros"]
