#!/usr/bin/env python3
"""Writes exciton/_exciton.pyi, the types of the C++ side, from the signatures in its docstrings.

    PYTHONPATH=build/release/python scripts/make_python_stubs.py > python/exciton/_exciton.pyi

A test compares the names and arguments in the file with those of the module.
"""
import inspect
import re
import sys
import textwrap
from types import ModuleType
from typing import Any

HEADER = '''"""The C++ side of the package exciton. Made by scripts/make_python_stubs.py."""
from os import PathLike
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import numpy

ArrayLike = Union["Tensor", "Var", "Parameter", numpy.ndarray[Any, Any], float, List[Any], Tuple[Any, ...], None]
Path = Union[str, "PathLike[str]"]
'''

# What pybind11 calls things, and what Python does.
SPELLING = [
    (r"exciton\._exciton\.", ""), (r"numpy\.ndarray(\[numpy\.\w+\])?", "numpy.ndarray[Any, Any]"),
    (r"\bfunction\b(?!:)", "Callable[..., Any]"), (r"os\.PathLike", "Path"), (r"\bpathlib\.Path\b", "Path"),
    (r"\bcapsule\b|\bhandle\b", "object"), (r"\biterator\b", "Iterator[Any]"), (r"\bdict\b", "Dict[Any, Any]"),
    (r"\blist\b(?!\[)", "List[Any]"), (r"\btuple\b(?!\[)", "Tuple[Any, ...]"), (r"Annotated\[(\w+\[\w+\]), .*?\]", r"\1"),
    (r"(\w+)\[(\d+)\]", r"\1"), (r"\(self: [\w.]+", "(self"), (r": (\w+) = None", r": Optional[\1] = None"),
    (r"Optional\[(object|ArrayLike)\] = None", r"\1 = None"), (r"\*args\b", "*args: Any"), (r"\*\*kwargs\b", "**kwargs: Any")]
# Who writes a default as pybind11 shows it.
DEFAULT = re.compile(r"= (Augment\(\)|<[^>]*>)")


def spelled(signature: str) -> str:
    for pattern, name in SPELLING:
        signature = re.sub(pattern, name, signature)
    return DEFAULT.sub("= ...", signature)


def overloads(name: str, thing: Any) -> list[tuple[str, str]]:
    """The signatures "(arguments) -> result" in a docstring, each with the text behind it."""
    doc = thing.__doc__ or ""
    call = re.escape(name)
    if "Overloaded function." in doc:
        parts = re.split(rf"^\d+\. {call}", doc, flags=re.M)[1:]
    else:
        parts = re.split(rf"^{call}(?=\()", doc, maxsplit=1, flags=re.M)[1:]
    out = []
    for part in parts:
        signature, _, text = part.partition("\n")
        out.append((spelled(signature), text.strip()))
    return out


def documented(text: str, indent: str) -> str:
    if not text:
        return " ...\n"
    lines = textwrap.wrap(text, 116 - len(indent), break_long_words=False) if "\n" not in text else text.splitlines()
    body = "\n".join(indent + "    " + line if line else "" for line in lines).lstrip()
    return f'\n{indent}    """{body}"""\n'


def function_stub(name: str, thing: Any, indent: str) -> str:
    out = ""
    found = overloads(name, thing)
    for signature, text in found:
        if len(found) > 1:
            out += f"{indent}@overload\n"
        out += f"{indent}def {name}{signature}:" + documented(text, indent)
    return out


def property_stub(name: str, thing: property, indent: str) -> str:
    text = (thing.__doc__ or "").strip()
    getter = re.search(r"-> (.+)$", ((thing.fget and thing.fget.__doc__) or "").split("\n")[0])
    kind = spelled(getter.group(1)) if getter else "Any"
    text = "" if text.startswith("(") or "->" in text.split("\n")[0] else text
    out = f"{indent}@property\n{indent}def {name}(self) -> {kind}:" + documented(text, indent)
    if thing.fset is not None:
        taken = re.search(r"arg1: (.+?)\) ->", thing.fset.__doc__ or "")
        out += (f"{indent}@{name}.setter\n{indent}def {name}(self, value: "
                f"{spelled(taken.group(1)) if taken else 'Any'}) -> None: ...\n")
    return out


def class_stub(name: str, cls: type) -> str:
    base = cls.__bases__[0]
    bases = "" if base.__module__ == "pybind11_builtins" or base is object else f"({base.__name__})"
    out = f"class {name}{bases}:" + documented((cls.__doc__ or "").strip(), "")
    if issubclass(cls, BaseException):
        return f"class {name}{bases}: ...\n"
    members = ""
    for key, value in cls.__dict__.items():
        if key in ("__doc__", "__module__", "__weakref__", "__dict__", "__new__", "__getstate__", "__setstate__",
                   "_pybind11_conduit_v1_"):
            continue
        if isinstance(value, property):
            members += property_stub(key, value, "    ")
        elif callable(value) or isinstance(value, staticmethod):
            members += function_stub(key, value, "    ")
    if not members and out.endswith(" ...\n"):
        return out
    return (out if not out.endswith(" ...\n") else out[:-5] + "\n") + (members or "    pass\n")


def stubs_of(module: ModuleType) -> str:
    out = ""
    for name, thing in module.__dict__.items():
        if inspect.isclass(thing):
            out += "\n\n" + class_stub(name, thing)
        elif callable(thing):
            out += "\n\n" + function_stub(name, thing, "")
    out += "\n\ndefault_generator: Generator\n__version__: str\n"
    header = HEADER.replace("Union\n", "Union, overload\n", 1) if "@overload" in out else HEADER
    return header + out


if __name__ == "__main__":
    from exciton import _exciton
    sys.stdout.write(stubs_of(_exciton))
