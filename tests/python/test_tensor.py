"""Tensors: memory that is shared with NumPy and DLPack, and who keeps it alive."""
import gc
import os
import unittest
import weakref

import numpy as np

import exciton


def address(array):
    return array.__array_interface__["data"][0]


class Sharing(unittest.TestCase):
    def test_numpy_both_ways(self):
        for dtype in (np.float32, np.float64, np.int64, np.uint8):
            array = np.arange(12).reshape(3, 4).astype(dtype)
            tensor = exciton.from_numpy(array)
            self.assertEqual(tensor.data_ptr(), address(array))
            self.assertEqual(address(tensor.numpy()), address(array))
            self.assertEqual(address(np.asarray(tensor)), address(array))
            self.assertEqual(tensor.numpy().dtype, dtype)
            array[1, 2] = 77
            self.assertEqual(tensor[1, 2], 77)
            tensor[0, 0] = 5
            self.assertEqual(array[0, 0], 5)

    def test_dlpack_both_ways(self):
        array = np.random.randn(2, 3, 4).astype(np.float32)
        tensor = exciton.from_dlpack(array)
        self.assertEqual(tensor.data_ptr(), address(array))
        self.assertEqual(address(np.from_dlpack(tensor)), address(array))
        self.assertEqual(exciton.from_dlpack(tensor).data_ptr(), address(array))
        self.assertEqual(tensor.__dlpack_device__(), (1, 0))
        half = exciton.from_dlpack(exciton.ones([3], dtype="bf16"))
        self.assertEqual((half.dtype, half.to("f32").tolist()), ("bf16", [1, 1, 1]))

    def test_buffer_protocol(self):
        tensor = exciton.tensor([[1.0, 2.0], [3.0, 4.0]])
        view = memoryview(tensor)
        self.assertEqual((view.shape, view.strides, view.format, view.readonly), ((2, 2), (8, 4), "f", False))
        view[1, 1] = 9
        self.assertEqual(tensor.tolist(), [[1, 2], [3, 9]])
        with self.assertRaisesRegex(BufferError, "bf16"):
            memoryview(tensor.to("bf16"))

    def test_the_array_lives_as_long_as_the_tensor(self):
        class Array(np.ndarray):
            pass

        array = np.ones(1000, np.float32).view(Array)
        gone = weakref.ref(array)
        tensor = exciton.from_numpy(array)
        copy = tensor.reshape([10, 100])
        del array, tensor
        gc.collect()
        self.assertIsNotNone(gone())
        self.assertEqual(copy.numpy().sum(), 1000)
        del copy
        gc.collect()
        self.assertIsNone(gone())

    def test_the_tensor_lives_as_long_as_its_arrays(self):
        views = []
        for share in (lambda t: t.numpy(), np.asarray, np.from_dlpack, memoryview):
            tensor = exciton.full([100, 100], 3)
            views.append(share(tensor))
            del tensor
        gc.collect()
        others = [exciton.zeros([100, 100]) for _ in range(8)]  # would take the memory that was let go
        for view in views:
            self.assertEqual(np.asarray(view).sum(), 30000)
        self.assertEqual(len(others), 8)

    def test_an_unused_capsule_is_given_back(self):
        before = exciton.memory_stats()["bytes_in_use"]
        capsule = exciton.zeros([1 << 20]).__dlpack__()
        self.assertGreaterEqual(exciton.memory_stats()["bytes_in_use"], before + (4 << 20))
        del capsule
        self.assertEqual(exciton.memory_stats()["bytes_in_use"], before)

    def test_refused(self):
        array = np.zeros((4, 4), np.float32)
        for bad, text in ((array.T[:, :2], "row-major"), (array.astype(np.int32), "got int32"),
                          (array.astype(">f4"), "float32, float64")):
            with self.assertRaisesRegex(exciton.Error, text):
                exciton.from_numpy(bad)
        array.flags.writeable = False
        with self.assertRaisesRegex(exciton.Error, "read-only"):
            exciton.from_numpy(array)
        with self.assertRaisesRegex(exciton.Error, "row-major"):
            exciton.from_dlpack(np.zeros((4, 4), np.float32).T[:, :2])
        with self.assertRaisesRegex(exciton.Error, "elements of"):
            exciton.from_dlpack(np.zeros(4, np.int16))
        with self.assertRaises(TypeError):
            exciton.tensor(["a"])

    def test_operators_never_write_into_what_is_numpys(self):
        x = np.random.randn(64, 64).astype(np.float32)
        dy = np.random.randn(64, 64).astype(np.float32)
        before = x.copy(), dy.copy()
        with exciton.Tape() as tape:
            watched = tape.watch(x)
            y = exciton.ops.relu(watched)
            tape.backward(y, dy)
            gradient = tape.gradient(watched)
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(dy, before[1])
        np.testing.assert_array_equal(gradient.numpy(), dy * (x > 0))


class Values(unittest.TestCase):
    def test_made(self):
        self.assertEqual(exciton.tensor([1, 2, 3]).dtype, "i64")
        self.assertEqual(exciton.tensor([1.0, 2]).dtype, "f32")
        self.assertEqual(exciton.tensor(np.zeros(2)).dtype, "f64")
        self.assertEqual(exciton.tensor([1.0], dtype=np.float64).dtype, "f64")
        self.assertEqual(exciton.zeros([2, 3], dtype=exciton.bfloat16).dtype, "bf16")
        self.assertEqual(exciton.full([2], 7).tolist(), [7, 7])
        array = np.ones(3, np.float32)
        self.assertNotEqual(exciton.tensor(array).data_ptr(), address(array))

    def test_random_numbers_are_those_of_the_seed(self):
        a = exciton.randn([100], generator=exciton.Generator(5)).tolist()
        b = exciton.randn([100], generator=exciton.Generator(5)).tolist()
        c = exciton.randn([100], generator=exciton.Generator(6)).tolist()
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_bf16_becomes_f32_for_numpy(self):
        tensor = exciton.tensor([1.0, 2.5]).to("bf16")
        np.testing.assert_array_equal(np.asarray(tensor), np.array([1, 2.5], np.float32))
        with self.assertRaisesRegex(exciton.Error, "bf16"):
            tensor.numpy()

    def test_read_only(self):
        weight = exciton.Parameter(np.ones((2, 2), np.float32))
        array = weight.numpy()
        with self.assertRaises(ValueError):
            array[0, 0] = 2
        for write in (lambda: weight.value.fill_(1), lambda: weight.value.copy_(array),
                      lambda: weight.value.__dlpack__(), lambda: weight.value.__setitem__((0, 0), 3)):
            with self.assertRaises((exciton.Error, BufferError, ValueError)):
                write()
        self.assertTrue(memoryview(weight.value).readonly)
        weight.copy_(np.full((2, 2), 4))
        np.testing.assert_array_equal(array, np.full((2, 2), 4))

    def test_large_integers(self):
        large = np.array([2**63 - 1], np.uint64)
        self.assertEqual(exciton.tensor(large).item(), float(2**63 - 1))
        with self.assertRaisesRegex(exciton.Error, "below 2\\^63"):
            exciton.tensor(large + np.uint64(1))


class Growth(unittest.TestCase):
    def test_a_thousand_cycles(self):
        array = np.zeros((64, 64), np.float32)

        def cycle():
            tensor = exciton.from_numpy(array)
            np.asarray(tensor), np.from_dlpack(exciton.zeros([64, 64])), memoryview(tensor)
            net = exciton.nn.Sequential(exciton.nn.Linear(64, 64), exciton.nn.ReLU())
            handle = net.register_forward_hook(lambda module, x, y: None)
            with exciton.Tape() as tape:
                tape.backward(exciton.ops.cross_entropy(net(tensor), np.zeros(64, np.int64)))
            handle.remove()
            exciton.optim.SGD(net, lr=0.1).step()

        for _ in range(20):
            cycle()
        gc.collect()
        objects, bytes_before = len(gc.get_objects()), exciton.memory_stats()["bytes_in_use"]
        resident = self.resident()
        for _ in range(1000):
            cycle()
        gc.collect()
        self.assertLess(len(gc.get_objects()) - objects, 50)
        self.assertEqual(exciton.memory_stats()["bytes_in_use"], bytes_before)
        if "asan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps what was freed for a while
            self.assertLess(self.resident() - resident, 4 << 20)

    @staticmethod
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096


if __name__ == "__main__":
    unittest.main()
