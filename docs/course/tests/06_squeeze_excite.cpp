#include "06_squeeze_excite.hpp"

#include <gtest/gtest.h>

#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/scale.hpp"
#include "exciton/ops/se/squeeze.hpp"

using namespace exciton;

TEST(SqueezeExcite, values) {
  Generator rng(1);
  const Tensor x = Tensor::randn({3, 4, 5, 6}, rng, DType::f64);
  const Tensor w1 = Tensor::randn({2, 6}, rng, DType::f64);
  const Tensor w2 = Tensor::randn({6, 2}, rng, DType::f64);
  const Tensor ours = course::squeeze_excite(x, w1, w2);
  const Tensor theirs = ops::scale(x, ops::excite(ops::squeeze(x), w1, {}, w2, {})).value();
  ASSERT_EQ(ours.shape(), theirs.shape());
  for (std::int64_t i = 0; i < ours.numel(); ++i) ASSERT_NEAR(ours.at(i), theirs.at(i), 1e-12);
}

TEST(SqueezeExcite, without_weights_the_gates_are_one_half) {
  Generator rng(2);
  const Tensor x = Tensor::randn({1, 2, 2, 4}, rng, DType::f64);
  const Tensor y = course::squeeze_excite(x, Tensor::zeros({1, 4}, DType::f64),
                                          Tensor::zeros({4, 1}, DType::f64));
  for (std::int64_t i = 0; i < x.numel(); ++i) ASSERT_EQ(y.at(i), x.at(i) / 2);
}

TEST(SqueezeExcite, gradient_of_the_gates) {
  Generator rng(3);
  const Tensor x = Tensor::randn({2, 3, 4, 5}, rng, DType::f64);
  Parameter s(Tensor::rand({2, 5}, rng, 0, 1, DType::f64));
  Tape tape;
  const Var y = ops::scale(x, s);
  const Tensor dy = Tensor::randn(y.shape(), rng, DType::f64);
  tape.backward(y, dy.clone());
  const Tensor ds = course::gate_gradient(x, dy);
  ASSERT_EQ(ds.shape(), s.shape());
  for (std::int64_t i = 0; i < ds.numel(); ++i) ASSERT_NEAR(ds.at(i), s.grad.at(i), 1e-12);
}
