#include "04_convolution.hpp"

#include <gtest/gtest.h>

#include "exciton/ops/convolution/conv2d.hpp"

using namespace exciton;

namespace {

void expect_near(const Tensor& ours, const Tensor& theirs) {
  ASSERT_EQ(ours.shape(), theirs.shape());
  for (std::int64_t i = 0; i < ours.numel(); ++i) ASSERT_NEAR(ours.at(i), theirs.at(i), 1e-10);
}

/// Odd sizes, so that swapped axes are noticed.
struct Case {
  Shape x, w;
  std::int64_t padding;
};
const Case cases[] = {{{1, 1, 1, 1}, {1, 1, 1, 1}, 0},
                      {{2, 5, 4, 3}, {6, 3, 3, 3}, 1},
                      {{3, 4, 6, 2}, {5, 2, 3, 1}, 0}};

}  // namespace

TEST(Convolution, values) {
  Generator rng(1);
  for (const auto& [xs, ws, padding] : cases) {
    const Tensor x = Tensor::randn(xs, rng, DType::f64), w = Tensor::randn(ws, rng, DType::f64);
    expect_near(course::convolution(x, w, padding),
                ops::conv2d(x, w, {}, {.padding = padding}).value());
  }
}

TEST(Convolution, gradient_of_the_weights) {
  Generator rng(2);
  for (const auto& [xs, ws, padding] : cases) {
    const Tensor x = Tensor::randn(xs, rng, DType::f64);
    Parameter w(Tensor::randn(ws, rng, DType::f64));
    Tape tape;
    const Var y = ops::conv2d(x, Var(w), {}, {.padding = padding});
    const Tensor dy = Tensor::randn(y.shape(), rng, DType::f64);
    tape.backward(y, dy.clone());
    expect_near(course::weight_gradient(x, dy, ws, padding), w.grad);
  }
}
