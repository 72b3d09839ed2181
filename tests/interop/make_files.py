#!/usr/bin/env python3
"""Writes the small weight files in tests/interop/files, which the tests read.

Usage: python3 tests/interop/make_files.py      (needs PyTorch and NumPy)

Every tensor holds 0, 1, 2, ... in the order of its elements, plus its place among the names, so a test
can tell each value without a list of them.
"""
import argparse
import collections
import pathlib
import struct

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent / "files"


def counting(*shape, start=0, dtype=torch.float32):
    count = int(np.prod(shape)) if shape else 1
    return torch.arange(start, start + count, dtype=torch.float64).to(dtype).reshape(shape)


def state():
    return collections.OrderedDict(
        [("conv.weight", counting(4, 3, 3, 3)), ("conv.bias", counting(4, start=1)), ("scalar", counting(start=2)),
         ("empty", torch.zeros(0, 7))])


def strides():
    base = counting(4, 6)
    out = collections.OrderedDict()
    out["whole"] = base
    out["tied"] = base
    out["row"] = base[2]
    out["block"] = base[1:3, 2:5]
    out["transposed"] = base.t()
    out["expanded"] = base[0, :4].expand(3, 4)
    out["channels_last"] = counting(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    return out


class Settings:
    """Something of the user's own, which no reader can know."""


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    save = lambda name, what, **how: torch.save(what, HERE / name, **how)
    old = {"_use_new_zipfile_serialization": False}
    save("state.pt", state())
    save("state_old.pth", state(), **old)
    save("state_protocol4.pt", state(), pickle_protocol=4)
    save("strides.pt", strides())
    save("strides_old.pth", strides(), **old)
    types = {"f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64, "i32": torch.int32,
             "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8}
    every = {name: counting(3, start=1, dtype=dtype) for name, dtype in types.items()}
    every["boolean"] = torch.tensor([True, False, True])
    save("types.pt", every)
    training = {"epoch": 3, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.5), "own": Settings(),
                "optimizer": {"state": {0: {"momentum_buffer": counting(4)}}, "param_groups": [{"lr": 0.1}]},
                "state_dict": {"module." + k: v for k, v in state().items()}}
    Settings.__module__ = "somebody.elses"
    import sys
    import types as modules
    other = modules.ModuleType("somebody.elses")
    other.Settings = Settings
    sys.modules["somebody"] = modules.ModuleType("somebody")
    sys.modules["somebody.elses"] = other
    save("training.pth", training)
    save("training_old.pth", training, **old)
    save("averaged.pth", {"state_dict": state(), "state_dict_ema": state()})
    save("list.pt", list(state().values()))
    save("module.pt", torch.nn.Linear(2, 2))
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(HERE / "script.pt"))
    save("sparse.pt", {"w": torch.eye(3).to_sparse()})
    save("quantised.pt", {"w": torch.quantize_per_tensor(counting(4), 0.1, 0, torch.qint8)})
    np.savez(HERE / "arrays.npz", **{"conv.weight": np.arange(6, dtype="<f4").reshape(2, 3),
                                     "fortran": np.asfortranarray(np.arange(6, dtype="<f8").reshape(2, 3)),
                                     "half": np.arange(3, dtype="<f2"), "flag": np.array([True, False])})
    np.savez_compressed(HERE / "packed.npz", **{"w": np.arange(100, dtype="<f4")})
    np.save(HERE / "logits.npy", np.arange(6, dtype="<f4").reshape(2, 3))
    np.save(HERE / "big_endian.npy", np.arange(3, dtype=">f4"))
    np.save(HERE / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    print(sum(f.stat().st_size for f in HERE.iterdir()), "bytes")


if __name__ == "__main__":
    main()
