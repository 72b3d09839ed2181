#!/usr/bin/env python3
"""Records operators of PyTorch, forward and backward, for tests/ops/golden_test.cpp.

Usage: python3 tests/golden/make_ops_golden.py > tests/golden/ops.json
Made with PyTorch 1.13.1 on the CPU, in double. Images are [N, H, W, C] here as in Exciton; every
case holds its inputs, its attributes, the output, a random gradient of the output and the
gradients of the inputs that PyTorch derives from it.
"""
import json
import sys

import torch
import torch.nn.functional as F

random = torch.Generator().manual_seed(20)
cases = []


def hard_sigmoid(x):
    """F.hardsigmoid by its formula: PyTorch's own rounds 1/6 to single precision, even in double."""
    return F.relu6(x + 3) / 6


def draw(*shape):
    """Standard normal values with three decimals, so that both sides read the same doubles."""
    return torch.randn(*shape, generator=random, dtype=torch.float64).mul(1000).round().div(1000)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def pack(t):
    if t is None:
        return None
    values = [float(f"{v:.11g}") for v in t.detach().flatten().tolist()]
    return {"shape": list(t.shape), "values": values}


def case(op, f, inputs, **attributes):
    """One case: y = f(*inputs); an input may be None (absent)."""
    leaves = [None if x is None else x.clone().requires_grad_() for x in inputs]
    y = f(*leaves)
    dy = draw(*y.shape)
    y.backward(dy)
    cases.append({
        "op": op, "attributes": attributes, "inputs": [pack(x) for x in inputs],
        "output": pack(y), "cotangent": pack(dy),
        "gradients": [None if x is None else pack(x.grad) for x in leaves]})
    return cases[-1]


def conv2d(x, w, b, **spec):
    case("conv2d", lambda x, w, b: nhwc(F.conv2d(nchw(x), w, b, **spec)), [x, w, b], **spec)


conv2d(draw(2, 5, 4, 3), draw(4, 3, 3, 3), draw(4), padding=1)
conv2d(draw(2, 7, 6, 2), draw(3, 2, 3, 3), None, stride=2, padding=1)
conv2d(draw(1, 7, 6, 2), draw(3, 2, 3, 3), draw(3), padding=2, dilation=2)
conv2d(draw(2, 4, 5, 6), draw(4, 3, 3, 3), draw(4), padding=1, groups=2)
conv2d(draw(2, 5, 5, 4), draw(4, 1, 3, 3), draw(4), stride=2, padding=1, groups=4)
conv2d(draw(2, 5, 4, 5), draw(3, 5, 1, 1), None, stride=2)
conv2d(draw(1, 9, 8, 3), draw(2, 3, 7, 7), None, stride=2, padding=3)
conv2d(draw(1, 1, 1, 1), draw(1, 1, 1, 1), draw(1))

case("linear", F.linear, [draw(3, 5), draw(4, 5), draw(4)])
case("linear", F.linear, [draw(1, 7), draw(9, 7), None])


def batch_norm(x, training, eps=1e-5, momentum=0.1):
    c = x.shape[-1]
    mean, var = draw(c), draw(c).abs() + 0.5
    before = pack(mean), pack(var)

    def f(x, gamma, beta):
        rows = x.reshape(-1, c)  # statistics do not care which values are pixels
        return F.batch_norm(rows, mean, var, gamma, beta, training, momentum, eps).reshape(x.shape)

    made = case("batch_norm", f, [x, draw(c), draw(c)], training=training, eps=eps,
                momentum=momentum)
    made["running"] = {"before": before, "after": (pack(mean), pack(var))}


batch_norm(draw(2, 3, 4, 5), True)
batch_norm(draw(3, 2, 1, 2) + 3, True, eps=1e-3, momentum=0.3)
batch_norm(draw(2, 3, 4, 5), False)
batch_norm(draw(6, 3), True)

for op, f in (("relu", F.relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh),
              ("hard_sigmoid", hard_sigmoid)):
    case(op, f, [draw(2, 3, 2, 5) * 3])
case("add", torch.add, [draw(2, 3, 2, 3), draw(2, 3, 2, 3)])
case("mul", torch.mul, [draw(2, 3, 2, 3), draw(2, 3, 2, 3)])


def pool(op, f, x, **spec):
    names = {"kernel": "kernel_size"}
    options = {names.get(k, k): v for k, v in spec.items()}
    case(op, lambda x: nhwc(f(nchw(x), **options)), [x], **spec)


for op, f in (("max_pool", F.max_pool2d), ("avg_pool", F.avg_pool2d)):
    pool(op, f, draw(2, 4, 6, 3), kernel=2, stride=2)
    pool(op, f, draw(1, 7, 5, 2), kernel=3, stride=2, padding=1)
    pool(op, f, draw(1, 8, 6, 2), kernel=3, stride=2, ceil_mode=True)
    pool(op, f, draw(1, 6, 9, 2), kernel=3, stride=2, padding=1, ceil_mode=True)
    pool(op, f, draw(1, 5, 4, 2), kernel=2, stride=3, padding=1, ceil_mode=True)
pool("avg_pool", F.avg_pool2d, draw(1, 6, 9, 2), kernel=3, stride=2, padding=1, ceil_mode=True,
     count_include_pad=False)
case("global_avg_pool", lambda x: x.mean((1, 2)), [draw(2, 3, 5, 3)])

for n, k, smoothing in ((3, 5, 0.0), (4, 7, 0.1), (1, 2, 0.3)):
    labels = torch.randint(k, (n,), generator=random)
    case("cross_entropy",
         lambda z: F.cross_entropy(z, labels, label_smoothing=smoothing).reshape(1),
         [draw(n, k) * 4], labels=labels.tolist(), smoothing=smoothing)

case("concat", lambda *x: torch.cat(x, -1), [draw(2, 3, 2, 2), draw(2, 3, 2, 1), draw(2, 3, 2, 3)])
case("split_and_swap", lambda x: torch.cat(x.split([2, 3], -1)[::-1], -1), [draw(2, 2, 3, 5)])
case("channel_shuffle",
     lambda x: x.reshape(2, 2, 3, 3, 2).transpose(-1, -2).reshape(2, 2, 3, 6),
     [draw(2, 2, 3, 6)], groups=3)
case("shortcut_pad",
     lambda x: nhwc(F.pad(nchw(x)[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))), [draw(2, 5, 4, 3)],
     channels=8, stride=2)
case("reshape", lambda x: x.reshape(2, 12), [draw(2, 3, 2, 2)], to=[2, 12])


def squeeze(x, kind):
    return x.mean((1, 2)) if kind == "avg" else x.amax((1, 2))


def excite(z, w1, b1, w2, b2, gate):
    gates = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": F.relu,
             "hard_sigmoid": hard_sigmoid}
    return gates[gate](F.linear(F.relu(F.linear(z, w1, b1)), w2, b2))


for kind in ("avg", "max"):
    case("squeeze", lambda x: squeeze(x, kind), [draw(2, 3, 4, 3)], kind=kind)
for gate in ("sigmoid", "tanh", "relu", "hard_sigmoid"):
    case("excite", lambda *x: excite(*x, gate),
         [draw(3, 6), draw(2, 6), draw(2), draw(6, 2), draw(6)], gate=gate)
case("excite", lambda *x: excite(*x, "sigmoid"), [draw(2, 5), draw(1, 5), None, draw(5, 1), None],
     gate="sigmoid")
case("scale", lambda x, s: x * s[:, None, None, :], [draw(2, 3, 2, 5), draw(2, 5)])


def se_block(x, w1, b1, w2, b2):
    return x * excite(squeeze(x, "avg"), w1, b1, w2, b2, "sigmoid")[:, None, None, :]


case("se_block", se_block, [draw(2, 3, 4, 8), draw(2, 8), draw(2), draw(8, 2), draw(8)])


def residual_tail(kind, relu, shortcut, se):
    c, hidden = 5, 2

    def f(y, gamma, beta, shortcut, w1, b1, w2, b2):
        out = F.batch_norm(y.reshape(-1, c), None, None, gamma, beta, True).reshape(y.shape)
        if w1 is not None:
            gates = excite(squeeze(out, kind), w1, b1, w2, b2, "sigmoid")
            out = out * gates[:, None, None, :]
        if shortcut is not None:
            out = out + shortcut
        return F.relu(out) if relu else out

    weights = [draw(hidden, c), draw(hidden), draw(c, hidden), draw(c)] if se else [None] * 4
    case("residual_tail", f,
         [draw(2, 3, 4, c), draw(c), draw(c), draw(2, 3, 4, c) if shortcut else None, *weights],
         squeeze=kind, relu=relu)


residual_tail("avg", True, True, True)
residual_tail("max", True, True, True)
residual_tail("avg", True, True, False)
residual_tail("avg", True, False, False)
residual_tail("avg", False, False, True)

for n, c, k in ((2, 5, 3), (3, 7, 5), (2, 4, 1), (1, 2, 5)):
    case("channel_conv",
         lambda z, w: F.conv1d(z[:, None, :], w[None, None, :], padding=(len(w) - 1) // 2)[:, 0],
         [draw(n, c), draw(k)])


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011): four 32-bit words from a 128-bit counter and a key."""
    words = [(counter >> (32 * i)) & 0xFFFFFFFF for i in range(4)]
    keys = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        one, two = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = [(two >> 32) ^ words[1] ^ keys[0], two & 0xFFFFFFFF,
                 (one >> 32) ^ words[3] ^ keys[1], one & 0xFFFFFFFF]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return words


def uniform(seed, stream, position):
    """Number `position` of a stream, in [0, 1): the upper 24 bits of its word."""
    return (philox(position // 4 + (stream << 64), seed)[position % 4] >> 8) / 2.0**24


class Shake(torch.autograd.Function):
    """Mixes two branches with alpha, and their gradients with beta (Gastaldi 2017)."""

    @staticmethod
    def forward(context, a, b, alpha, beta):
        context.save_for_backward(beta)
        return alpha * a + (1 - alpha) * b

    @staticmethod
    def backward(context, dy):
        beta, = context.saved_tensors
        return beta * dy, (1 - beta) * dy, None, None


def shake_shake(forward, backward, seed, stream, counter, images=3):
    numbers = torch.tensor([uniform(seed, stream, counter + i) for i in range(2 * images)],
                           dtype=torch.float64).reshape(2, images, 1, 1, 1)
    half = torch.full((images, 1, 1, 1), 0.5, dtype=torch.float64)
    alpha = numbers[0] if forward == "shake" else half
    beta = {"shake": numbers[1], "even": half, "keep": alpha}[backward]
    case("shake_shake", lambda a, b: Shake.apply(a, b, alpha, beta),
         [draw(images, 2, 3, 2), draw(images, 2, 3, 2)], forward=forward, backward=backward,
         seed=seed, stream=stream, counter=counter)


shake_shake("shake", "shake", 7, 3, 0)
shake_shake("shake", "keep", 7, 2**33 + 5, 2)
shake_shake("shake", "even", 2**40 + 9, 1, 2**35 + 3)
shake_shake("even", "shake", 1, 0, 5)
shake_shake("even", "even", 1, 0, 0)

json.dump({"made_with": "PyTorch " + torch.__version__.split("+")[0], "cases": cases}, sys.stdout,
          separators=(",", ":"))
sys.stdout.write("\n")
