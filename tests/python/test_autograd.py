"""Tape, operators, and operators written in Python."""
import threading
import unittest

import numpy as np

import exciton
from exciton import ops


class Swish(exciton.Function):
    @staticmethod
    def forward(ctx, x, beta=1.0):
        x = x.numpy()
        s = 1 / (1 + np.exp(-beta * x))
        ctx.beta = beta
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, dy):
        x, s = ctx.saved_tensors
        return dy.numpy() * s * (1 + ctx.beta * x * (1 - s)), *([None] if ctx.beta != 1 else [])


class Product(exciton.Function):
    """Two inputs, one of which may be a constant."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a.numpy() * b.numpy()

    @staticmethod
    def backward(ctx, dy):
        a, b = ctx.saved_tensors
        Product.needs = ctx.needs_input_grad
        return tuple(dy.numpy() * other.numpy() if wanted else None
                     for other, wanted in zip((b, a), ctx.needs_input_grad))


class Wrong(Swish):
    @staticmethod
    def backward(ctx, dy):
        return dy.numpy() * ctx.saved_tensors[1]


def broken(result):
    class Broken(exciton.Function):
        @staticmethod
        def forward(ctx, x):
            return x.numpy() * 2

        @staticmethod
        def backward(ctx, dy):
            if isinstance(result, Exception):
                raise result
            return result
    return Broken


class Functions(unittest.TestCase):
    def test_gradcheck(self):
        self.assertLess(exciton.gradcheck(Swish.apply, [np.random.randn(2, 3, 4)]), 1e-7)
        self.assertLess(exciton.gradcheck(lambda x: Swish.apply(x, 0.5), [np.random.randn(7)]), 1e-7)
        self.assertLess(exciton.gradcheck(Product.apply, [np.random.randn(3, 2), np.random.randn(3, 2)]), 1e-7)
        with self.assertRaisesRegex(exciton.Error, r"^Wrong: input 0 \[2, 3\] .*: analytic .*, numeric "):
            exciton.gradcheck(Wrong.apply, [np.random.randn(2, 3)])

    def test_gradcheck_of_the_librarys_own(self):
        x, w = np.random.randn(2, 6, 6, 3), np.random.randn(4, 3, 3, 3)
        self.assertLess(exciton.gradcheck(lambda a, b: ops.conv2d(a, b, padding=1), [x, w]), 1e-7)
        # Modules, without a ReLU, whose corner a difference might step over.
        nn = exciton.nn
        first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)).to("f64").train()
        last = nn.Linear(4, 2).to("f64")
        self.assertLess(exciton.gradcheck(lambda a: last(ops.global_avg_pool(ops.tanh(first(a)))), [x]), 1e-7)

    def test_only_what_is_needed(self):
        a = exciton.Parameter(np.ones(3, np.float32))
        with exciton.Tape() as tape:
            y = Product.apply(a, np.arange(3, dtype=np.float32))
            tape.backward(y, np.ones(3, np.float32))
        self.assertEqual(Product.needs, (True, False))
        self.assertEqual(a.grad.tolist(), [0, 1, 2])

    def test_without_a_tape(self):
        self.assertFalse(Swish.apply(np.ones(2, np.float32)).requires_grad)

    def test_errors(self):
        for result, kind, text in ((ZeroDivisionError("mine"), ZeroDivisionError, "mine"),
                                   ((np.zeros(2), np.zeros(2)), exciton.Error, "2 gradients for the 1 argument"),
                                   (np.zeros(5), exciton.Error, r"is \[5\], the input \[2\]"),
                                   ("text", TypeError, "")):
            p = exciton.Parameter(np.ones(2, np.float32))
            with self.assertRaisesRegex(kind, text), exciton.Tape() as tape:
                tape.backward(broken(result).apply(p), np.ones(2, np.float32))
        with self.assertRaisesRegex(NotImplementedError, "must define forward"):
            exciton.Function.apply(np.ones(2))

    def test_its_inputs_are_to_look_at(self):
        class Writes(exciton.Function):
            @staticmethod
            def forward(ctx, x):
                x.numpy()[0] = 1

        with self.assertRaises(ValueError):
            Writes.apply(np.zeros(2, np.float32))


class Tapes(unittest.TestCase):
    def test_chain_rule(self):
        w, x = exciton.Parameter(np.array([[2.0, 3.0]], np.float32)), np.array([[5.0, 7.0]], np.float32)
        with exciton.Tape() as tape:
            y = ops.linear(x, w)
            self.assertTrue(y.requires_grad)
            loss = y * y / 2 + 1 - y
            tape.backward(loss, np.ones((1, 1), np.float32))
        self.assertEqual(y.item(), 31)
        self.assertEqual(loss.item(), 31 * 31 / 2 + 1 - 31)
        np.testing.assert_allclose(w.grad.numpy(), (31 - 1) * x)

    def test_arithmetic_with_arrays_and_numbers(self):
        a, b = np.random.randn(3).astype(np.float32), np.random.randn(3).astype(np.float32)
        v = exciton.Var(a)
        for got, expected in ((v + b, a + b), (b + v, b + a), (v - b, a - b), (b - v, b - a), (v * b, a * b),
                              (2 * v, 2 * a), (v / 4, a / 4), (-v, -a), (1 - v, 1 - a), (v - 1, a - 1)):
            self.assertIsInstance(got, exciton.Var)
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)

    def test_backward_of_the_active_tape(self):
        p = exciton.Parameter(np.ones(1, np.float32))
        with exciton.Tape():
            (exciton.Var(p) * 3).backward()
        self.assertEqual(p.grad.item(), 3)
        with self.assertRaisesRegex(exciton.Error, "no tape records"):
            exciton.Var(p).backward()

    def test_no_grad(self):
        p = exciton.Parameter(np.ones(1, np.float32))
        with exciton.Tape() as tape:
            with exciton.no_grad():
                self.assertFalse((exciton.Var(p) * 3).requires_grad)
            self.assertTrue((exciton.Var(p) * 3).requires_grad)
            self.assertGreater(len(tape), 0)

    def test_blocks_that_end_in_another_order(self):
        p = exciton.Parameter(np.ones(1, np.float32))
        tape, pause = exciton.Tape(), exciton.no_grad()
        tape.__enter__()
        pause.__enter__()
        with pause:
            pass
        self.assertFalse((exciton.Var(p) * 3).requires_grad)
        tape.__exit__(None, None, None)
        pause.__exit__(None, None, None)  # after its tape
        self.assertFalse((exciton.Var(p) * 3).requires_grad)
        with exciton.Tape():
            self.assertTrue((exciton.Var(p) * 3).requires_grad)
        with self.assertRaisesRegex(exciton.Error, "did not begin on this thread"):
            pause.__exit__(None, None, None)

    def test_what_is_assigned_as_a_gradient_is_copied(self):
        p = exciton.Parameter(np.ones(2, np.float32))
        mine = np.ones(2, np.float32)
        p.grad = mine
        with exciton.Tape() as tape:
            tape.backward(exciton.Var(p) * 3, np.ones(2, np.float32))
        np.testing.assert_array_equal(p.grad.numpy(), [4, 4])
        np.testing.assert_array_equal(mine, [1, 1])

    def test_errors(self):
        with exciton.Tape() as tape:
            with self.assertRaisesRegex(exciton.Error, "already recording"), exciton.Tape():
                pass
            with self.assertRaises(exciton.Error):
                tape.backward(exciton.Var(np.ones(1, np.float32)))
        with self.assertRaisesRegex(exciton.Error, "within its block"):
            tape.backward(exciton.Var(np.ones(1, np.float32)))
        with self.assertRaises(exciton.Error) as caught:
            ops.linear(np.ones((2, 3), np.float32), np.ones((4, 5), np.float32))
        self.assertIn("linear: ", str(caught.exception))

    def test_a_tape_for_each_thread(self):
        failed = []

        def work():
            try:
                for _ in range(20):
                    p = exciton.Parameter(np.ones((8, 8), np.float32))
                    with exciton.Tape() as tape:
                        y = Swish.apply(ops.linear(np.ones((4, 8), np.float32), p))
                        tape.backward(y, np.ones((4, 8), np.float32))
                    assert p.grad is not None
            except Exception as error:  # told by the main thread
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


class Operators(unittest.TestCase):
    def test_values(self):
        x = np.random.randn(2, 4, 4, 8).astype(np.float32)
        np.testing.assert_allclose(ops.squeeze(x).numpy(), x.mean((1, 2)), atol=1e-6)
        np.testing.assert_allclose(ops.squeeze(x, "max").numpy(), x.max((1, 2)))
        np.testing.assert_allclose(ops.global_avg_pool(x).numpy(), x.mean((1, 2)), atol=1e-6)
        gates = np.random.rand(2, 8).astype(np.float32)
        np.testing.assert_allclose(ops.scale(x, gates).numpy(), x * gates[:, None, None, :], rtol=1e-6)
        np.testing.assert_array_equal(ops.relu(x).numpy(), np.maximum(x, 0))
        np.testing.assert_allclose(ops.max_pool2d(x, 2).numpy(),
                                   x.reshape(2, 2, 2, 2, 2, 8).max((2, 4)), rtol=1e-6)
        np.testing.assert_array_equal(ops.concat([x, x]).numpy(), np.concatenate([x, x], -1))
        np.testing.assert_array_equal(ops.slice_channels(x, 2, 3).numpy(), x[..., 2:5])
        self.assertEqual(ops.flatten(x).shape, (2, 128))
        logits = np.random.randn(5, 3).astype(np.float32)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(ops.softmax(logits).numpy(), p, rtol=1e-5)
        labels = np.array([0, 1, 2, 1, 0])
        self.assertAlmostEqual(ops.cross_entropy(logits, labels).item(),
                               -np.log(p[np.arange(5), labels]).mean(), places=5)

    def test_running_statistics_are_changed_where_they_are(self):
        x = np.random.randn(8, 3).astype(np.float32)
        ones, zeros = np.ones(3, np.float32), np.zeros(3, np.float32)
        for make in (np.array, exciton.tensor):
            mean, var = make(zeros), make(ones)
            ops.batch_norm(x, mean, var, ones, zeros, training=True, momentum=1.0)
            np.testing.assert_allclose(np.asarray(mean), x.mean(0), atol=1e-6)
            np.testing.assert_allclose(np.asarray(var), x.var(0, ddof=1), rtol=1e-5)
        ops.batch_norm(x, None, None, ones, zeros, training=True)
        ops.batch_norm(x, [0.0, 0.0, 0.0], np.ones(6, np.float32)[::2], ones, zeros)  # looked at only
        frozen = np.zeros(3, np.float32)
        frozen.flags.writeable = False
        for mean, error in ((np.zeros(6, np.float32)[::2], exciton.Error), (frozen, exciton.Error),
                            (np.zeros(3, np.float16), exciton.Error), ([0.0, 0.0, 0.0], TypeError)):
            with self.assertRaises(error):
                ops.batch_norm(x, mean, np.ones(3, np.float32), ones, zeros, training=True)

    def test_unknown(self):
        with self.assertRaisesRegex(AttributeError, "no attribute 'swish'"):
            ops.swish
        with self.assertRaisesRegex(exciton.Error, "unknown name"):
            ops.call("swish", [np.ones(2)])


if __name__ == "__main__":
    unittest.main()
