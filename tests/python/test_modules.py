"""Modules, hooks, gates, units and models of one's own."""
import gc
import unittest
import weakref

import numpy as np

import exciton
from exciton import nn, ops


class Unit(nn.ChannelAttention):
    """s = sigmoid(w mean(x))"""

    def __init__(self, channels, spec, generator):
        super().__init__()
        self.weight = nn.uniform_parameter([channels, channels], 0.1, generator)

    def gates(self, x):
        return ops.sigmoid(ops.linear(ops.squeeze(x), self.weight))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = [nn.Conv2d(8, 8, 1, bias=False), nn.ReLU()]
        self.shift = exciton.Parameter(np.zeros(8, np.float32), role="bias")
        self.fc = nn.Linear(8, 4)
        self.ignored = exciton.zeros([2])
        nn.register_buffer(self, "steps", exciton.zeros([1]))

    def forward(self, x):
        x = self.norm(self.stem(x))
        for block in self.blocks:
            x = block(x)
        self.steps[0] += 1
        return self.fc(ops.global_avg_pool(x))


exciton.register_attention("python_unit", Unit)
exciton.register_model("python_net", lambda classes, channels, generator: Net(), image_size=16, classes=4)
images = np.random.default_rng(1).standard_normal((4, 32, 32, 3)).astype(np.float32)


class Modules(unittest.TestCase):
    def test_names(self):
        net = Net()
        self.assertEqual([name for name, _ in net.named_parameters()],
                         ["stem.weight", "stem.bias", "norm.weight", "norm.bias", "blocks.0.weight", "shift",
                          "fc.weight", "fc.bias"])
        self.assertEqual([name for name, _ in net.named_buffers()], ["norm.running_mean", "norm.running_var", "steps"])
        self.assertEqual([name for name, _ in net.named_modules()],
                         ["", "stem", "norm", "blocks.0", "blocks.1", "fc"])
        self.assertIs(dict(net.named_parameters())["shift"], net.shift)
        self.assertIs(net.get_submodule("fc"), net.fc)
        self.assertEqual((net.kind, net.shift.role, net.num_parameters()), ("Net", "bias", 348))
        net(images)
        self.assertEqual(net.steps.item(), 1)
        with self.assertRaisesRegex(exciton.Error, "no module \"fd\""):
            net.get_submodule("fd")

    def test_modes(self):
        net = Net().eval()
        self.assertFalse(net.norm.training)
        self.assertTrue(net.train().norm.training)

    def test_state(self):
        a, b = Net(), Net()
        b.load_state_dict(a.state_dict())
        np.testing.assert_array_equal(a.eval()(images).numpy(), b.eval()(images).numpy())
        state = {name: tensor.clone() for name, tensor in a.state_dict().items()}
        del state["shift"]
        with self.assertRaisesRegex(exciton.Error, "shift"):
            b.load_state_dict(state)

    def test_weights_that_change_are_seen(self):
        net = exciton.models.make("se_resnet20").eval()
        before = net(images).numpy()
        weight = net.get_submodule("stage1.0.conv1").weight
        weight.copy_(weight.numpy() * 0)
        self.assertGreater(np.abs(net(images).numpy() - before).max(), 1e-3)

    def test_parameters_outlive_the_module_that_made_them(self):
        weight = nn.Linear(3, 2).weight
        gc.collect()
        self.assertEqual(weight.value.shape, (2, 3))
        module = exciton.models.make("se_resnet20").get_submodule("stage2.0.se")
        gc.collect()
        self.assertEqual(module(np.zeros((1, 4, 4, 32), np.float32)).shape, (1, 4, 4, 32))

    def test_parameters_outlive_a_layer_that_is_replaced(self):
        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(64, 64)

        net = Head()
        kept, before = net.parameters()[0], net.parameters()[0].numpy().copy()
        sgd = exciton.optim.SGD(net, lr=0.1, momentum=0.9)
        net.fc = nn.Linear(64, 64)
        gc.collect()
        others = [nn.Linear(64, 64) for _ in range(20)]
        np.testing.assert_array_equal(kept.numpy(), before)
        sgd.step()
        sgd.zero_grad()
        np.testing.assert_array_equal(kept.numpy(), before)
        del others

    def test_a_module_within_itself_is_told(self):
        class Loop(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(2, 2)
                self.me = self

        with self.assertRaisesRegex(exciton.Error, "does one hold itself"):
            Loop().parameters()

    def test_what_is_shared_counts_once(self):
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(3, 3, bias=False)
                self.second = self.first

            def forward(self, x):
                return self.second(self.first(x))

        net = Tied()
        self.assertEqual([name for name, _ in net.named_parameters()], ["first.weight"])
        self.assertEqual(list(net.state_dict()), ["first.weight"])
        self.assertEqual(net.num_parameters(), 9)
        net.load_state_dict(net.state_dict())
        before = net.first.weight.numpy().copy()
        sgd = exciton.optim.SGD(net, lr=1.0)
        net.first.weight.grad = np.ones((3, 3), np.float32)
        self.assertAlmostEqual(exciton.optim.clip_grad_norm_(net, 100.0), 3, places=5)
        sgd.step()
        np.testing.assert_allclose(net.first.weight.numpy(), before - 1, atol=1e-6)
        with self.assertRaisesRegex(exciton.Error, "is given twice"):
            exciton.optim.SGD(net.parameters() + net.first.parameters())

    def test_none_is_no_module(self):
        for use in (exciton.record_gates, exciton.evaluate, exciton.optim.EMA, nn.Module.named_modules,
                    nn.Module.parameters, lambda x: exciton.replace_gates(x, {}), lambda x: exciton.predict(x, "x.png"),
                    lambda x: exciton.data.DataLoader(x), lambda x: exciton.data.Dataset.subset(x, [0])):
            with self.assertRaises((TypeError, RuntimeError)):
                use(None)

    def test_numbers_that_are_none(self):
        nan = float("nan")
        for wrong in (lambda: nn.BatchNorm2d(4, eps=-1), lambda: nn.BatchNorm2d(4, momentum=nan),
                      lambda: nn.BatchNorm2d(4, momentum=2), lambda: nn.Dropout(nan),
                      lambda: nn.uniform_parameter([2], nan), lambda: nn.uniform_parameter([2], -1),
                      lambda: nn.kaiming_normal_parameter([2, 2], 0), lambda: exciton.randn([2], dtype="i64"),
                      lambda: exciton.register_model("none", Net, image_size=0),
                      lambda: exciton.register_model("none", Net, classes=0),
                      lambda: ops.batch_norm(np.ones((4, 2), np.float32), None, None, np.ones(2, np.float32),
                                             np.zeros(2, np.float32), training=True, eps=-1)):
            with self.assertRaises(exciton.Error):
                wrong()
        with self.assertRaises(TypeError):
            exciton.zeros([2]).to(None)

    def test_nothing_derives_from_a_layer(self):
        for layer in (nn.Conv2d, nn.Linear, nn.SqueezeExcite, nn.ReLU):
            with self.assertRaises(TypeError):
                type("Mine", (layer,), {})

    def test_modules_go(self):
        net = Net()
        gone = weakref.ref(net)
        sgd = exciton.optim.SGD(net, lr=0.1)
        del net
        gc.collect()
        self.assertIsNotNone(gone(), "the optimiser has its parameters")
        del sgd
        gc.collect()
        self.assertIsNone(gone())

    def test_without_forward(self):
        class Nothing(nn.Module):
            pass

        with self.assertRaisesRegex(TypeError, "must define forward"):
            Nothing()(images)

    def test_forward_may_throw(self):
        class Throws(nn.Module):
            def forward(self, x):
                raise KeyError("mine")

        with self.assertRaisesRegex(KeyError, "mine"):
            nn.Sequential(Throws())(images)


class Hooks(unittest.TestCase):
    def test_what_passes(self):
        net, seen = exciton.models.make("se_resnet20"), []
        layer = net.get_submodule("stage1.0.bn1")
        for mode in (net.train, net.eval):
            mode()
            plain = net(images).numpy()
            with layer.register_forward_hook(lambda module, x, y: seen.append((module.kind, x.shape, y.shape))):
                hooked = net(images).numpy()
            np.testing.assert_allclose(hooked, plain, atol=1e-4)
        self.assertEqual(seen, [("BatchNorm", (4, 32, 32, 16), (4, 32, 32, 16))] * 2)
        net(images)
        self.assertEqual(len(seen), 2)

    def test_what_goes_on(self):
        net = Net().eval()
        first = net.fc.register_forward_hook(lambda module, x, y: y * 2)
        second = net.fc.register_forward_hook(lambda module, x, y: y + 1)
        doubled = net(images).numpy()
        first.remove()
        one_more = net(images).numpy()
        second.remove()
        plain = net(images).numpy()
        np.testing.assert_allclose(doubled, plain * 2 + 1, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one_more, plain + 1, rtol=1e-5, atol=1e-6)

    def test_it_may_throw(self):
        net = Net()
        with self.assertRaises(ZeroDivisionError), net.fc.register_forward_hook(lambda *all: 1 / 0):
            net(images)
        net(images)


class Gates(unittest.TestCase):
    def test_recorded(self):
        net = exciton.models.make("se_resnet20").eval()
        gates = exciton.gates(net, images)
        self.assertEqual(len(gates), 9)
        self.assertEqual(gates["stage3.2.se"].shape, (4, 64))
        self.assertTrue(all(((g > 0) & (g < 1)).all() for g in gates.values()))

    def test_of_a_module_that_nobody_else_keeps(self):
        class Alone(nn.Module):
            def __init__(self):
                super().__init__()
                self.se = nn.SqueezeExcite(8)

            def forward(self, x):
                return self.se(x)

        net = Alone()
        recorder = exciton.record_gates(net)
        run = net.se
        del net
        gc.collect()
        with recorder:
            run(np.ones((2, 4, 4, 8), np.float32))
        self.assertEqual(recorder.gates["se"].shape, (2, 8))

    def test_blocks_that_end_in_another_order(self):
        net = exciton.models.make("se_resnet20", blocks=[1, 1, 1]).eval()
        plain = net(images).numpy().copy()
        first, second = exciton.record_gates(net), exciton.record_gates(net)
        one = exciton.replace_gates(net, {"stage1.0.se": np.ones(16, np.float32)})
        other = exciton.replace_gates(net, {"stage1.0.se": np.zeros(16, np.float32)})
        blocks = [first, second, one, other]
        for block in blocks:
            block.__enter__()
            with self.assertRaisesRegex(exciton.Error, "already"):
                block.__enter__()
        net(images)
        for block in blocks:
            block.__exit__(None, None, None)
            block.__exit__(None, None, None)
        self.assertEqual(first.gates["stage1.0.se"].shape, (4, 16))
        np.testing.assert_array_equal(net(images).numpy(), plain)

    def test_a_unit_that_is_replaced_meanwhile(self):
        class Holds(nn.Module):
            def __init__(self):
                super().__init__()
                self.se = nn.SqueezeExcite(8)

            def forward(self, x):
                return self.se(x)

        net = Holds()
        with exciton.record_gates(net), exciton.replace_gates(net, {"se": np.ones(8, np.float32)}):
            net.se = nn.SqueezeExcite(8)
            gc.collect()
        net(np.ones((1, 2, 2, 8), np.float32))

    def test_replaced(self):
        net = exciton.models.make("se_resnet20").eval()
        plain = net(images).numpy()
        own = exciton.gates(net, images[:1])["stage1.0.se"][0]
        with exciton.replace_gates(net, {"stage1.0.se": own}):
            np.testing.assert_allclose(net(images[:1]).numpy(), plain[:1], atol=1e-4)
        with exciton.replace_gates(net, {"stage3.2.se": np.zeros(64, np.float32)}):
            self.assertGreater(np.abs(net(images).numpy() - plain).max(), 1e-4)
        np.testing.assert_array_equal(net(images).numpy(), plain)
        with self.assertRaisesRegex(exciton.Error, "no unit \"stage9\""), exciton.replace_gates(net, {"stage9": own}):
            pass

    def test_a_wrong_name_replaces_nothing(self):
        net = exciton.models.make("se_resnet20", blocks=[1, 1, 1]).eval()
        images = np.random.default_rng(1).standard_normal((2, 8, 8, 3)).astype(np.float32)
        before = net(images).numpy().copy()
        with self.assertRaisesRegex(exciton.Error, 'no unit "other"'):
            with exciton.replace_gates(net, {"stage1.0.se": np.zeros(16, np.float32), "other": np.ones(16, np.float32)}):
                pass
        np.testing.assert_array_equal(net(images).numpy(), before)


class Own(unittest.TestCase):
    def test_a_unit_trains(self):
        net = exciton.models.make("se_resnet20", classes=2, se={"kind": "python_unit"}, seed=3)
        self.assertIsInstance(net.get_submodule("stage1.0.se"), Unit)
        weight = net.get_submodule("stage1.0.se").weight
        before = weight.numpy().copy()
        sgd = exciton.optim.SGD(net, lr=0.05)
        losses = []
        for _ in range(12):
            with exciton.Tape() as tape:
                loss = ops.cross_entropy(net(images), np.array([0, 1, 0, 1]))
                tape.backward(loss)
            sgd.step()
            losses.append(loss.item())
        self.assertLess(losses[-1], losses[0] / 2)
        self.assertGreater(np.abs(weight.numpy() - before).max(), 0)

    def test_the_same_seed_makes_the_same(self):
        a, b = (exciton.models.make("se_resnet20", se={"kind": "python_unit"}, seed=3) for _ in range(2))
        np.testing.assert_array_equal(a.eval()(images).numpy(), b.eval()(images).numpy())

    def test_a_model(self):
        net = exciton.models.make("python_net", classes=4).eval()
        self.assertEqual(net(images).shape, (4, 4))
        self.assertFalse(net.training)
        self.assertEqual(len(net.named_parameters()), 8)

    def test_refused(self):
        with self.assertRaisesRegex(exciton.Error, "taken"):
            exciton.register_attention("se", Unit)
        exciton.register_attention("no_unit", lambda channels, spec, generator: 5)
        with self.assertRaisesRegex(TypeError, "expected a nn.ChannelAttention, got 5"):
            exciton.models.make("se_resnet20", se={"kind": "no_unit"})
        with self.assertRaisesRegex(exciton.Error, "nearest are se_resnet20"):
            exciton.models.make("se_resnet21x")
        with self.assertRaisesRegex(exciton.Error, "did you mean shortcut"):
            exciton.models.make("se_resnet20", shortcutt="zero_pad")


if __name__ == "__main__":
    unittest.main()
