#include "05_batch_norm.hpp"

#include <gtest/gtest.h>

#include "exciton/ops/batch_norm.hpp"

using namespace exciton;

namespace {
constexpr double eps = 1e-5;
}

TEST(BatchNorm, is_affine_in_evaluation) {
  Generator rng(1);
  const Tensor x = Tensor::randn({6, 3}, rng, DType::f64);
  const Tensor gamma = Tensor::randn({3}, rng, DType::f64);
  const Tensor beta = Tensor::randn({3}, rng, DType::f64);
  ops::RunningStats running{Tensor::randn({3}, rng), Tensor::rand({3}, rng, 0.5, 2)};
  const Tensor y =
      ops::batch_norm(x, gamma, beta, {.eps = eps, .training = false, .running = &running}).value();
  const auto [a, b] =
      course::affine_of(gamma, beta, running.mean.to(DType::f64), running.var.to(DType::f64), eps);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    ASSERT_NEAR(a.at(i % 3) * x.at(i) + b.at(i % 3), y.at(i), 1e-10);
}

TEST(BatchNorm, gradient_in_training) {
  Generator rng(2);
  const Tensor gamma = Tensor::randn({4}, rng, DType::f64);
  const Tensor beta = Tensor::randn({4}, rng, DType::f64);
  Tape tape;
  const Var x = tape.watch(Tensor::randn({7, 4}, rng, DType::f64));
  const Var y = ops::batch_norm(x, gamma, beta, {.eps = eps});
  const Tensor dy = Tensor::randn({7, 4}, rng, DType::f64);
  tape.backward(y, dy.clone());
  const Tensor dx = course::input_gradient(x.value(), gamma, dy, eps);
  ASSERT_EQ(dx.shape(), x.shape());
  for (std::int64_t i = 0; i < dx.numel(); ++i) ASSERT_NEAR(dx.at(i), tape.gradient(x).at(i), 1e-9);
}

TEST(BatchNorm, a_constant_dy_gives_no_gradient) {
  Generator rng(3);
  const Tensor x = Tensor::randn({5, 2}, rng, DType::f64);
  const Tensor dx = course::input_gradient(x, Tensor::full({2}, 1.5, DType::f64),
                                           Tensor::full({5, 2}, 1, DType::f64), eps);
  for (std::int64_t i = 0; i < dx.numel(); ++i) ASSERT_NEAR(dx.at(i), 0, 1e-10);
}
