"""Data sets, those that Python has among them, and the loader."""
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np

import exciton
from exciton import data


def striped(count, size=16, seed=1):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 100, (count, size, size, 1), np.uint8)
    images[labels == 0, ::4] += 150
    images[labels == 1, :, ::4] += 150
    return images, labels


def write_ppm(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes())


class Sets(unittest.TestCase):
    def test_of_arrays(self):
        images, labels = striped(10)
        dataset = data.array_dataset(images, labels, ["across", "down"])
        self.assertEqual((len(dataset), dataset.class_names, dataset.channels), (10, ["across", "down"], 1))
        image, label = dataset[3]
        np.testing.assert_array_equal(image, images[3])
        self.assertEqual(label, 1)
        self.assertEqual(len(dataset.subset([1, 3])), 2)
        with self.assertRaises(IndexError):
            dataset[10]
        with self.assertRaisesRegex(exciton.Error, "10 images and 9 labels"):
            data.array_dataset(images, labels[:9], ["a", "b"])

    def test_of_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(6):
                image = np.full((8, 8, 3), 40 * i, np.uint8)
                write_ppm(Path(folder, "train", "odd" if i % 2 else "even", f"{i}.ppm"), image)
            dataset = data.open_dataset(folder)
            self.assertEqual((len(dataset), dataset.class_names), (6, ["even", "odd"]))
            np.testing.assert_array_equal(data.decode_image(Path(folder, "train", "odd", "3.ppm")),
                                          np.full((8, 8, 3), 120, np.uint8))
        with self.assertRaises(exciton.Error):
            data.open_dataset(folder)

    def test_statistics(self):
        images = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)])
        mean, std = data.array_dataset(images, [0, 1], ["a", "b"]).channel_stats()
        np.testing.assert_allclose((mean, std), np.full((2, 3), 0.5))


class Loaders(unittest.TestCase):
    def test_batches(self):
        images, labels = striped(70)
        dataset = data.array_dataset(images, labels, ["across", "down"])
        loader = data.DataLoader(dataset, batch_size=32, augment=data.Augment(mean=[0.5], std=[0.25]))
        self.assertEqual(len(loader), 3)
        batches = list(loader)
        self.assertEqual([batch.images.shape[0] for batch in batches], [32, 32, 6])
        got, seen = batches[0]
        np.testing.assert_allclose(got.numpy(), (images[:32] / 255 - 0.5) / 0.25, atol=1e-5)
        np.testing.assert_array_equal(seen.numpy(), labels[:32])

    def test_each_iteration_is_another_epoch(self):
        images, labels = striped(64)
        dataset = data.array_dataset(images, labels, ["across", "down"])
        loader = data.DataLoader(dataset, batch_size=64, shuffle=True, seed=5)
        first, second = next(iter(loader)).indices, next(iter(loader)).indices
        self.assertNotEqual(first, second)
        loader.set_epoch(0)
        self.assertEqual(next(iter(loader)).indices, first)
        self.assertEqual(sorted(second), list(range(64)))

    def test_images_that_python_reads(self):
        images, labels = striped(40)

        class Source:
            def __getitem__(self, index):
                return images[index]

        dataset = data.source_dataset(Source(), labels, ["across", "down"], channels=1)
        for workers in (0, 2):
            loader = data.DataLoader(dataset, batch_size=8, num_workers=workers)
            got = np.concatenate([batch.images.numpy() for batch in loader])
            np.testing.assert_allclose(got, images / np.float32(255), atol=1e-6)
        abandoned = iter(data.DataLoader(dataset, batch_size=8, num_workers=2))
        next(abandoned)
        del abandoned  # while its workers read

    def test_an_end_in_the_middle_is_an_error(self):
        class Source:
            def __getitem__(self, i):
                return np.zeros((8, 8, 3), np.uint8) if i < 4 else next(iter([]))

        loader = data.DataLoader(data.source_dataset(Source(), [0] * 10, ["a"]), batch_size=2)
        with self.assertRaisesRegex(exciton.Error, "image 4 of the source raised StopIteration"):
            list(loader)

    def test_a_script_may_end_before_its_loader(self):
        script = """
import numpy as np
from exciton import data

class Source:
    def __getitem__(self, i):
        return np.zeros((8, 8, 3), np.uint8)

loader = data.DataLoader(data.source_dataset(Source(), [0] * 500, ["a"]), batch_size=2)
next(iter(loader))
"""
        for _ in range(3):
            ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_a_kind_must_open_a_set(self):
        data.register_dataset("forgetful", lambda dir, split: None)
        with self.assertRaisesRegex(exciton.Error, "expected that open.dir, split. returns a Dataset, got .*NoneType"):
            data.open_dataset(".", kind="forgetful")

    def test_more_workers_than_batches(self):
        images, labels = striped(5)
        loader = data.DataLoader(data.array_dataset(images, labels, ["a", "b"]), batch_size=2, num_workers=40000)
        self.assertEqual(sum(len(y) for _, y in loader), 5)

    def test_errors_of_python_arrive(self):
        class Source:
            def __getitem__(self, index):
                raise LookupError("no such image of mine")

        loader = data.DataLoader(data.source_dataset(Source(), [0, 1], ["a", "b"]), batch_size=2)
        with self.assertRaisesRegex(LookupError, "of mine"):
            next(iter(loader))

    def test_what_python_cannot_read_is_skipped(self):
        class Source:
            def __getitem__(self, index):
                if index == 1:
                    raise OSError("no such file")
                return np.zeros((4, 4, 3), np.uint8)

        for workers in (0, 1):
            loader = data.DataLoader(data.source_dataset(Source(), [0, 1, 0], ["a", "b"]), batch_size=3,
                                     num_workers=workers, skip_errors=True)
            batch = next(iter(loader))
            self.assertEqual(batch.indices, [0, 2])
            self.assertEqual(len(batch.skipped), 1)
            self.assertIn("image 1 of the source: OSError('no such file')", batch.skipped[0])

    def test_an_interrupt_is_not_skipped(self):
        class Source:
            def __getitem__(self, index):
                raise KeyboardInterrupt

        loader = data.DataLoader(data.source_dataset(Source(), [0, 1], ["a", "b"]), batch_size=2, num_workers=0,
                                 skip_errors=True)
        with self.assertRaises(KeyboardInterrupt):
            next(iter(loader))

    def test_two_threads(self):
        class Source:
            def __getitem__(self, index):
                return np.full((4, 4, 3), index, np.uint8)

        loader = data.DataLoader(data.source_dataset(Source(), [0, 1] * 50, ["a", "b"]), batch_size=2, num_workers=1)
        found = []

        iter(loader)
        threads = [threading.Thread(target=lambda: found.extend(i for _ in range(25) for i in next(loader).indices))
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(found), list(range(100)))

    def test_labels_are_integers(self):
        with self.assertRaisesRegex(exciton.Error, "expected integers, got f32"):
            data.Batch(np.zeros((2, 4, 4, 3), np.float32), np.array([0.5, 1.0], np.float32))


if __name__ == "__main__":
    unittest.main()
