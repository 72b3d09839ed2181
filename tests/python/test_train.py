"""Runs: train, Ctrl-C and resume, load, evaluate, predict, inspect, export; from a data set of Python's."""
import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy as np

import exciton
from test_data import striped

exciton.data.register_dataset(
    "stripes",
    lambda dir, split: exciton.data.array_dataset(*striped(256 if split == "train" else 64,
                                                           seed=1 if split == "train" else 2), ["across", "down"]))

RECIPE = {"model": {"name": "se_resnet20", "blocks": [1, 1, 1]},
          "data": {"kind": "stripes", "dir": ".", "batch": 32, "validation": "test"},
          "schedule": {"lr": 0.05}, "epochs": 3, "seed": 1}


class Quiet(exciton.Observer):
    def __init__(self):
        super().__init__()
        self.infos, self.lines, self.steps = [], [], 0

    def started(self, info):
        self.infos.append(info)

    def step(self, progress):
        self.steps += not progress.testing

    def epoch(self, line):
        self.lines.append(line)


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.run_folder = Path(cls.folder.name, "run")
        cls.observer = Quiet()
        cls.outcome = exciton.train(RECIPE, cls.observer, out=cls.run_folder)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_what_the_observer_hears(self):
        self.assertTrue(self.outcome.finished)
        self.assertEqual(self.observer.steps, 24)
        self.assertEqual([line.epoch for line in self.observer.lines], [1, 2, 3])
        self.assertEqual(self.observer.infos[0].steps_per_epoch, 8)
        self.assertGreater(self.outcome.top1, 0.9)
        logged = [json.loads(line) for line in (self.run_folder / "log.jsonl").read_text().splitlines()]
        self.assertEqual([line["epoch"] for line in logged], [1, 2, 3])

    def test_load_and_evaluate(self):
        trained = exciton.load(self.run_folder)
        self.assertEqual((trained.class_names, trained.image_size, trained.channels), (["across", "down"], 16, 1))
        result = exciton.evaluate(trained)
        self.assertEqual(result.images, 64)
        self.assertGreater(result.top1, 0.9)
        self.assertEqual(result.confusion().sum(), 64)
        other = exciton.data.array_dataset(*striped(20, seed=3), ["across", "down"])
        self.assertEqual(exciton.evaluate(trained, other).images, 20)
        wrong = exciton.data.array_dataset(*striped(20, seed=3), ["x", "y"])
        with self.assertRaisesRegex(exciton.Error, "does not have the classes"):
            exciton.evaluate(trained, wrong)

    def test_predict(self):
        trained = exciton.load(self.run_folder)
        images, labels = striped(8, seed=4)
        for image, label in zip(images, labels):
            name, probability = exciton.predict(trained, image, top=1)[0]
            self.assertEqual(name, trained.class_names[label])
            self.assertGreater(probability, 0.5)
        with self.assertRaisesRegex(exciton.Error, "uint8"):
            exciton.predict(trained, images[0].astype(np.float32))

    def test_gates_and_inspection(self):
        trained = exciton.load(self.run_folder)
        found = exciton.inspect(trained, importance_images=32)
        self.assertEqual([unit.name for unit in found.units], ["stage1.0.se", "stage2.0.se", "stage3.0.se"])
        unit = found.units[2]
        self.assertEqual(unit.class_means(2).shape, (2, 64))
        loader = exciton.data.DataLoader(trained.open_data(), batch_size=64, augment=trained.loader_augment())
        gates = exciton.gates(trained, next(iter(loader)).images)["stage3.0.se"]
        np.testing.assert_allclose(gates.mean(0), unit.mean, atol=1e-4)
        np.testing.assert_allclose(gates.std(0), unit.deviation, atol=1e-4)
        self.assertEqual(set(found.importance[0].differences), {"one", "mean", "zero"})

    def test_export_and_import(self):
        for name in ("weights.safetensors", "net.onnx"):
            text = exciton.export(self.run_folder, Path(self.folder.name, name))
            self.assertIn("no class changes", text)

    def test_stop_and_resume(self):
        class Stops(Quiet):
            def step(self, progress):
                super().step(progress)
                return self.steps < 11

        folder = Path(self.folder.name, "stopped")
        stopped = exciton.train(RECIPE, Stops(), out=folder)
        self.assertFalse(stopped.finished)
        self.assertTrue(exciton.train(RECIPE, Quiet(), out=folder, resume=True).finished)
        self.same_weights(folder)

    def test_ctrl_c(self):
        class Slow(Quiet):
            def step(self, progress):
                super().step(progress)
                if self.steps == 5:
                    os.kill(os.getpid(), signal.SIGINT)

        folder = Path(self.folder.name, "interrupted")
        with self.assertRaises(KeyboardInterrupt):
            exciton.train(RECIPE, Slow(), out=folder)
        exciton.train(RECIPE, Quiet(), out=folder, resume=True)
        self.same_weights(folder)

    def test_an_observer_that_throws(self):
        class Throws(Quiet):
            def epoch(self, line):
                raise ZeroDivisionError("mine")

        folder = Path(self.folder.name, "thrown")
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            exciton.train(RECIPE, Throws(), out=folder)
        exciton.train(RECIPE, Quiet(), out=folder, resume=True)
        self.same_weights(folder)

    def test_others_run_meanwhile(self):
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.wait(0.005):
                ticks.append(time.monotonic())

        thread = threading.Thread(target=tick)
        thread.start()
        exciton.train({**RECIPE, "epochs": 1}, Quiet(), out=Path(self.folder.name, "meanwhile"))
        stop.set()
        thread.join()
        self.assertGreater(len(ticks), 3)

    def test_errors_have_the_librarys_text(self):
        for recipe, text in (({"model": {"name": "se_resnet20"}, "epoch": 3}, "unknown key epoch; did you mean epochs"),
                             ({**RECIPE, "epochs": "3"}, "epochs: expected"),
                             ({"model": {"name": "se_resnet20"}, "data": {"dir": "/nowhere"}}, "/nowhere")):
            with self.assertRaisesRegex(exciton.Error, text):
                exciton.train(recipe, Quiet(), out=Path(self.folder.name, "never"))
        with self.assertRaises(exciton.RunError):
            exciton.train(RECIPE, Quiet(), out=self.run_folder)
        with self.assertRaises(exciton.Error):
            exciton.load("/nowhere")

    def test_progress_without_a_terminal(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exciton.train({**RECIPE, "epochs": 1}, out=Path(self.folder.name, "told"))
        self.assertRegex(out.getvalue(), r"epoch 1/1  train loss \d\.\d+ top-1 ")

    def test_progress_in_a_terminal(self):
        script = (f"import exciton, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_train as t; "
                  f"exciton.train({{**t.RECIPE, 'epochs': 2}}, exciton.ProgressBar(rate=1000), "
                  f"out={str(Path(self.folder.name, 'drawn'))!r})")
        terminal, its_end = pty.openpty()
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=its_end,
                              stderr=its_end) as process:
            os.close(its_end)
            shown = b""
            with contextlib.suppress(OSError):  # so a terminal tells that nobody writes any more
                while piece := os.read(terminal, 4096):
                    shown += piece
        os.close(terminal)
        text = shown.decode()
        self.assertEqual(process.returncode, 0, text)
        self.assertRegex(text, r"epoch 1/2 █*·+ +\d+ %  .* left  loss \d\.\d+  top-1 ")
        self.assertRegex(text, r"epoch 2/2  train loss ")
        self.assertTrue(text.rstrip("\r\n").endswith("\x1b[K"), "the bar is gone at the end")

    def same_weights(self, folder):
        a, b = exciton.load(self.run_folder / "checkpoints/epoch-0003.ckpt"), exciton.load(
            folder / "checkpoints/epoch-0003.ckpt")
        for (name, p), (_, q) in zip(a.model.named_parameters(), b.model.named_parameters()):
            np.testing.assert_array_equal(p.numpy(), q.numpy(), err_msg=name)


class Recipes(unittest.TestCase):
    def test_forms(self):
        recipe = exciton.Recipe(RECIPE)
        self.assertEqual(json.loads(recipe.text())["epochs"], 3)
        self.assertEqual(exciton.Recipe(recipe.text()).text(), recipe.text())
        self.assertEqual(json.loads(recipe.with_values(["schedule.lr=0.2"]).text())["schedule"]["lr"], 0.2)


if __name__ == "__main__":
    unittest.main()
