"""Operators. Images are [N, H, W, C]; arguments are values of a network, parameters, tensors or arrays."""
from typing import Any, Callable

from ._exciton import (
    Var, add, avg_pool2d, batch_norm, call, cast, channel_conv, channel_shuffle, concat, conv2d, cross_entropy, dropout,
    excite, flatten, global_avg_pool, hard_sigmoid, linear, max_pool2d, mul, registered, relu, reshape, scale, sigmoid,
    slice_channels, softmax, squeeze, tanh)

__all__ = [
    "add", "avg_pool2d", "batch_norm", "call", "cast", "channel_conv", "channel_shuffle", "concat", "conv2d",
    "cross_entropy", "dropout", "excite", "flatten", "global_avg_pool", "hard_sigmoid", "linear", "max_pool2d", "mul",
    "registered", "relu", "reshape", "scale", "sigmoid", "slice_channels", "softmax", "squeeze", "tanh"]


def __getattr__(name: str) -> Callable[..., Var]:
    """An operator that a plugin registered: ops.swish(x, beta=1.0)."""
    if name not in registered():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def operator(*inputs: Any, **attributes: float) -> Var:
        return call(name, list(inputs), attributes)

    operator.__name__ = name
    return operator
