"""Runs the notebooks, as a reader would, and looks at what comes out. Needs nbconvert, ipykernel and matplotlib."""
import importlib.util
import os
import re
import tempfile
import unittest
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "docs/notebooks"
MISSING = [name for name in ("nbconvert", "ipykernel", "matplotlib") if importlib.util.find_spec(name) is None]
DATA = Path("/usr/share/datasets/fashion-mnist")


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
@unittest.skipUnless(DATA.is_dir(), f"there is no {DATA}")
class Notebooks(unittest.TestCase):
    # What each must show: pictures, and texts with the numbers in them.
    EXPECTED = {
        "01_first_training.ipynb": (3, {r"top-1 (\d+\.\d) % of 1000 images": (65, 100), r"it is a \w+": None}),
        "02_what_the_gates_do.ipynb": (2, {r"stage3.1.se +64 channels, mean gate (\d\.\d+)": (0, 1),
                                           r"as it is +(\d+) %": (55, 100), r"stage3.1.se \(64, 64\) float32": None}),
        "03_own_attention_unit.ipynb": (0, {r"within (\d?e?-?\d+e-\d+)": (0, 1e-7),
                                            r"Wrong: input 0 \[2, 3, 4, 5\]": None,
                                            r"contrast +top-1 (\d+\.\d) %": (50, 100),
                                            r"epoch 2: mean loss (\d\.\d+)": (0, 1.6)}),
        "04_fine_tune_a_folder.ipynb": (2, {r"fine-tuned: (\d+\.\d) % of the test": (80, 100)}),
    }

    def test_each_is_looked_at(self):
        self.assertEqual({path.name for path in NOTEBOOKS.glob("*.ipynb")}, set(self.EXPECTED))

    def run_one(self, name):
        import nbformat
        from nbconvert import HTMLExporter
        from nbconvert.preprocessors import ExecutePreprocessor

        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        for cell in notebook.cells:
            self.assertFalse(cell.get("outputs"), "notebooks are kept without outputs")
        with tempfile.TemporaryDirectory() as folder:
            ExecutePreprocessor(timeout=600, kernel_name="python3").preprocess(notebook, {"metadata": {"path": folder}})
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        self.assertEqual([o.text for o in outputs if o.get("name") == "stderr"], [], "warnings")
        text = "\n".join(o.get("text", "") for o in outputs)
        pictures = sum("image/png" in o.get("data", {}) for o in outputs)
        expected_pictures, expected = self.EXPECTED[name]
        self.assertEqual(pictures, expected_pictures)
        for pattern, limits in expected.items():
            match = re.search(pattern, text)
            self.assertIsNotNone(match, f"{pattern} in\n{text}")
            if limits:
                self.assertTrue(limits[0] <= float(match.group(1)) <= limits[1], match.group())
        page, _ = HTMLExporter().from_notebook_node(notebook)
        kept = os.environ.get("EXCITON_NOTEBOOKS")  # a folder: the pages are kept there
        if kept:
            Path(kept, name).with_suffix(".html").write_text(page)


for notebook in Notebooks.EXPECTED:
    setattr(Notebooks, "test_" + notebook.split(".")[0], lambda self, name=notebook: self.run_one(name))

if __name__ == "__main__":
    unittest.main()
