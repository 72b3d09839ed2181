"""The type stubs have the names and arguments of the module."""
import ast
import importlib.util
import unittest
from pathlib import Path

import exciton
from exciton import _exciton

ROOT = Path(__file__).parents[2]


def arguments(function):
    a = function.args
    return ([x.arg for x in a.posonlyargs + a.args], a.vararg and a.vararg.arg, [x.arg for x in a.kwonlyargs],
            a.kwarg and a.kwarg.arg, len(a.defaults))


def outline(nodes, prefix=""):
    """Every function, class and property: its arguments, one for each overload."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            found[prefix + node.name] = [ast.unparse(base) for base in node.bases]
            found.update(outline(node.body, prefix + node.name + "."))
        elif isinstance(node, ast.FunctionDef):
            found.setdefault(prefix + node.name, []).append(arguments(node))
    return found


class Stubs(unittest.TestCase):
    def test_they_are_of_this_module(self):
        spec = importlib.util.spec_from_file_location("make", ROOT / "scripts/make_python_stubs.py")
        make = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(make)
        now = outline(ast.parse(make.stubs_of(_exciton)).body)
        stored = outline(ast.parse((ROOT / "python/exciton/_exciton.pyi").read_text()).body)
        self.assertGreater(len(now), 300)
        self.assertEqual(stored, now, "run scripts/make_python_stubs.py")

    def test_what_the_package_exports_is_there(self):
        for module in (exciton, exciton.autograd, exciton.data, exciton.models, exciton.nn, exciton.ops, exciton.optim):
            for name in module.__all__:
                self.assertTrue(hasattr(module, name), f"{module.__name__}.{name}")

    def test_everything_says_what_it_does(self):
        silent = [name for name in exciton.__all__ if callable(getattr(exciton, name))
                  and not (getattr(exciton, name).__doc__ or "").strip()]
        self.assertEqual(silent, [])


if __name__ == "__main__":
    unittest.main()
