"""Operators written in Python.

    class Swish(exciton.Function):
        @staticmethod
        def forward(ctx, x):                      # x [any shape]: a tensor, to look at
            x = x.numpy()
            s = 1 / (1 + np.exp(-x))
            ctx.save_for_backward(x, s)
            return x * s

        @staticmethod
        def backward(ctx, dy):
            x, s = ctx.saved_tensors
            return dy.numpy() * s * (1 + x * (1 - s))

    y = Swish.apply(x)
    exciton.gradcheck(Swish.apply, [np.random.randn(2, 3)])
"""
from typing import Any

from . import _exciton
from ._exciton import Var, gradcheck

__all__ = ["Context", "Function", "gradcheck"]


class Context:
    """What forward leaves for backward."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self.saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *values: Any) -> None:
        """Keeps values until backward has run, or the tape ends."""
        self.saved_tensors = values


class Function:
    """An operator: derive from it, and define forward and backward as static methods.

    forward(ctx, *arguments, **options) is given read-only tensors and returns a tensor or an array;
    backward(ctx, dy) returns a gradient of each positional argument in its shape, None where there is none.
    """

    @staticmethod
    def forward(ctx: Context, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError("a Function must define forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Context, dy: _exciton.Tensor) -> Any:
        raise NotImplementedError("a Function must define backward(ctx, dy)")

    @classmethod
    def apply(cls, *arguments: Any, **options: Any) -> Var:
        """Computes, and records where a tape is active."""
        return _exciton._apply(cls, Context(), list(arguments), options)
