"""Optimisers against their equations, schedules, the average, the loop."""
import gc
import unittest

import numpy as np

import exciton
from exciton import nn, ops, optim


def parameter(values):
    return exciton.Parameter(np.array(values, np.float32))


class Optimisers(unittest.TestCase):
    def test_sgd(self):
        p, b, lr = parameter([1, 2]), np.zeros(2), 0.1
        sgd, w = optim.SGD([p], lr=lr, momentum=0.9, nesterov=True, weight_decay=0.01), np.array([1.0, 2.0])
        for step in range(3):
            g = np.array([0.5, -1.0]) * (step + 1)
            p.grad = g
            sgd.step()
            g = g + 0.01 * w
            b = 0.9 * b + g
            w = w - lr * (g + 0.9 * b)
        np.testing.assert_allclose(p.numpy(), w, rtol=1e-5)
        self.assertIsNone(p.grad)

    def test_adamw(self):
        p, m, v, w = parameter([1, 2]), np.zeros(2), np.zeros(2), np.array([1.0, 2.0])
        adamw = optim.AdamW([("p", p)], lr=0.01, weight_decay=0.1)
        for t in range(1, 4):
            g = np.array([0.5, -1.0]) * t
            p.grad = g
            adamw.step(lr=0.02)
            w = w * (1 - 0.02 * 0.1)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w = w - 0.02 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(p.numpy(), w, rtol=1e-5)
        self.assertEqual([name for name, _ in adamw.state()], ["mean.p", "square.p", "steps"])

    def test_parameters_live_as_long_as_it(self):
        sgd = optim.SGD(nn.Linear(4, 4).parameters(), lr=1)
        gc.collect()
        sgd.step()
        with self.assertRaisesRegex(exciton.Error, "got none"):
            optim.SGD([])
        for wrong in (5, [5], [("name", 5)], "params"):
            with self.assertRaisesRegex(TypeError, "expected a module, a list of its parameters"):
                optim.SGD(wrong)

    def test_groups_and_clipping(self):
        a, b = parameter([1]), parameter([1])
        sgd = optim.SGD([("fast", a), ("slow", b)], lr=1)
        sgd.set_groups([{"names": "slow", "lr_factor": 0.1}])
        a.grad, b.grad = np.array([3.0]), np.array([4.0])
        self.assertAlmostEqual(optim.clip_grad_norm_([a, b], 1.0), 5, places=5)
        sgd.step()
        np.testing.assert_allclose([a.value.item(), b.value.item()], [1 - 0.6, 1 - 0.08], rtol=1e-5)

    def test_schedule(self):
        s = optim.Schedule("one_cycle_linear", lr=1, total_steps=10, warmup_fraction=0.5)
        np.testing.assert_allclose([s.lr(i) for i in (0, 5, 10)], [0, 1, 0])
        with self.assertRaisesRegex(exciton.Error, "unknown name"):
            optim.Schedule("cosinus", lr=1, total_steps=10)

    def test_average(self):
        net = nn.Linear(1, 1, bias=False)
        net.weight.copy_([[1.0]])
        ema = optim.EMA(net, decay=0.9, warmup=False)
        net.weight.copy_([[2.0]])
        ema.update(1)
        ema.swap()
        self.assertAlmostEqual(net.weight.value.item(), 1.1, places=6)


class Loops(unittest.TestCase):
    """The loop, and the same by hand, end in the same bits."""

    def test_the_same_bits(self):
        rng = np.random.default_rng(2)
        batches = [(rng.standard_normal((8, 16, 16, 3)).astype(np.float32), rng.integers(0, 10, 8)) for _ in range(4)]
        nets = [exciton.models.make("se_resnet20", seed=4) for _ in range(2)]
        sgds = [optim.SGD(net, lr=0.1, momentum=0.9, nesterov=True) for net in nets]
        loop = exciton.Loop(nets[0], sgds[0], optim.Schedule("constant", lr=0.1, total_steps=4))
        for images, labels in batches:
            result = loop.step(exciton.data.Batch(images, labels))
            with exciton.Tape() as tape:
                loss = ops.cross_entropy(nets[1](images), labels)
                tape.backward(loss)
            sgds[1].step(0.1)
            self.assertEqual(result.loss, loss.item())
        self.assertEqual(loop.steps, 4)
        for (name, a), (_, b) in zip(nets[0].named_parameters(), nets[1].named_parameters()):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)

    def test_a_loss_that_is_no_number(self):
        net = exciton.models.make("se_resnet20")
        loop = exciton.Loop(net, optim.SGD(net), optim.Schedule("constant", lr=0.1, total_steps=4))
        with self.assertRaises(exciton.NotFinite):
            loop.step(exciton.data.Batch(np.full((2, 16, 16, 3), np.nan, np.float32), [0, 1]))


if __name__ == "__main__":
    unittest.main()
