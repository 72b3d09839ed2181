"""Optimisers, schedules and the moving average of weights."""
from ._exciton import EMA, SGD, AdamW, Optimizer, Schedule, clip_grad_norm_, clip_grad_value_

__all__ = ["AdamW", "EMA", "Optimizer", "SGD", "Schedule", "clip_grad_norm_", "clip_grad_value_"]
