#include "07_residual_tail.hpp"

#include <gtest/gtest.h>

#include "exciton/ops/se/residual_tail.hpp"

using namespace exciton;

namespace {

constexpr std::int64_t images = 3, height = 4, width = 5, channels = 6, hidden = 2;
constexpr std::int64_t pixels = height * width;

void expect_near(const Tensor& ours, const Tensor& theirs) {
  ASSERT_EQ(ours.shape(), theirs.shape());
  for (std::int64_t i = 0; i < ours.numel(); ++i) ASSERT_NEAR(ours.at(i), theirs.at(i), 1e-9);
}

/// out = relu(se(bn(y)) + shortcut) by the single operators, with the gradients of the tape.
struct Oracle {
  Generator rng{1};
  Tensor random(const Shape& shape) { return Tensor::randn(shape, rng, DType::f64); }

  Tensor y = random({images, height, width, channels});
  Parameter gamma{random({channels})}, beta{random({channels})};
  Tensor shortcut = random(y.shape());
  Tensor w1 = random({hidden, channels}), b1 = random({hidden});
  Tensor w2 = random({channels, hidden}), b2 = random({channels});
  Tensor out, dout = random(y.shape()), dy;

  Oracle() {
    Tape tape;
    const Var x = tape.watch(y);
    const Var result = ops::ResidualTail::composed({}, x, gamma, beta, shortcut, w1, b1, w2, b2);
    out = result.value();
    tape.backward(result, dout.clone());
    dy = tape.gradient(x);
  }
};

/// g = dout where the ReLU passed.
Tensor masked(const Oracle& o) {
  Tensor g = o.dout.clone();
  for (std::int64_t i = 0; i < g.numel(); ++i)
    if (o.out.at(i) <= 0) g.set(i, 0);
  return g;
}

Tensor pixel_sum(const Tensor& x) {
  Tensor sum = Tensor::zeros({images, channels}, DType::f64);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    sum.data<double>()[i / (pixels * channels) * channels + i % channels] += x.at(i);
  return sum;
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor p = a.clone();
  for (std::int64_t i = 0; i < p.numel(); ++i) p.set(i, a.at(i) * b.at(i));
  return p;
}

/// y less the mean of its channel.
Tensor centred(const Oracle& o, const ops::ResidualTail::Saved& saved) {
  Tensor y = o.y.clone();
  for (std::int64_t i = 0; i < y.numel(); ++i)
    y.set(i, y.at(i) - saved.stats.center.at(i % channels) - saved.stats.rest.at(i % channels));
  return y;
}

/// The sums of the passes; statistics and gates as the operator's forward saved them.
course::Tail tail_of(const Oracle& o, const ops::ResidualTail::Saved& saved) {
  const Tensor g = masked(o), y = centred(o, saved);
  return {images,         pixels,       channels,    saved.stats.rstd, saved.norm.a,
          o.beta.value(), pixel_sum(y), saved.gates, pixel_sum(g),     pixel_sum(product(g, y))};
}

ops::ResidualTail::Saved forward(const Oracle& o) {
  ops::ResidualTail::Saved saved;
  ops::ResidualTail{}.forward(saved, o.y, o.gamma.value(), o.beta.value(), o.shortcut, o.w1, o.b1,
                              o.w2, o.b2);
  return saved;
}

}  // namespace

TEST(ResidualTail, squeeze_of_a_map_that_was_never_written) {
  const Oracle o;
  const auto saved = forward(o);
  const Tensor normalised = ops::batch_norm(o.y, o.gamma.value(), o.beta.value(), {}).value();
  expect_near(course::squeezed(tail_of(o, saved)), ops::squeeze(normalised).value());
}

TEST(ResidualTail, gradient_of_the_gates) {
  const Oracle o;
  const auto saved = forward(o);
  const Tensor normalised = ops::batch_norm(o.y, o.gamma.value(), o.beta.value(), {}).value();
  expect_near(course::gate_gradient(tail_of(o, saved)), pixel_sum(product(masked(o), normalised)));
}

TEST(ResidualTail, gradients_of_the_norm) {
  const Oracle o;
  auto saved = forward(o);
  const course::Tail tail = tail_of(o, saved);
  const Tensor dz = ops::Excite{}.backward(saved.excite, course::gate_gradient(tail), {true})[0];
  const auto [dgamma, dbeta, p, q, shift] = course::tail_gradients(tail, dz);
  expect_near(dgamma, o.gamma.grad);
  expect_near(dbeta, o.beta.grad);
  const Tensor g = masked(o), y = centred(o, saved);
  for (std::int64_t i = 0; i < g.numel(); ++i) {
    const std::int64_t c = i % channels, nc = i / (pixels * channels) * channels + c;
    ASSERT_NEAR(p.at(nc) * g.at(i) + q.at(c) * y.at(i) + shift.at(nc), o.dy.at(i), 1e-9);
  }
}
