"""Modules and layers. Maps are [N, H, W, C]."""
from typing import Any

from ._exciton import (
    AvgPool2d, BatchNorm2d, ChannelAttention, Conv2d, Dropout, GlobalAvgPool, HookHandle, Linear, MaxPool2d, Module,
    Parameter, ReLU, SESpec, SqueezeExcite, Tensor, Var, kaiming_normal_parameter, uniform_parameter)

__all__ = [
    "AvgPool2d", "BatchNorm2d", "ChannelAttention", "Conv2d", "Dropout", "GlobalAvgPool", "HookHandle", "Linear",
    "MaxPool2d", "Module", "Parameter", "ReLU", "SESpec", "Sequential", "SqueezeExcite", "kaiming_normal_parameter",
    "register_buffer", "uniform_parameter"]


class Sequential(Module):
    """Modules one after another, named "0", "1", ..."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getitem__(self, index: int) -> Module:
        return list(self.__dict__.values())[index]

    def forward(self, x: Any) -> Var:
        for module in self.__dict__.values():
            x = module(x)
        return x


def register_buffer(module: Module, name: str, tensor: Tensor) -> None:
    """Keeps a tensor as an attribute of a module of one's own that is saved with it and not trained."""
    setattr(module, name, tensor)
    module.__dict__.setdefault("_buffers", []).append(name)
