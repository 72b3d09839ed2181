#include "09_training.hpp"

#include <gtest/gtest.h>

#include "exciton/optim/schedule.hpp"
#include "exciton/optim/sgd.hpp"

using namespace exciton;

namespace {

/// Both optimisers walk down f(p) = sum of c p^2 / 2, whose gradient is c p, for 20 steps.
void expect_same_walk(const course::SgdOptions& o) {
  const std::vector<double> curvature{0.5, 1, 3};
  std::vector<double> p{1, -2, 3}, b(3, 0.0);
  Parameter theirs(Tensor::from({3}, p, DType::f64));
  optim::Sgd sgd({{"p", &theirs}},
                 {.momentum = o.momentum, .nesterov = o.nesterov, .weight_decay = o.weight_decay});
  for (int step = 0; step < 20; ++step) {
    std::vector<double> g(3);
    for (std::size_t i = 0; i < 3; ++i) g[i] = curvature[i] * p[i];
    theirs.grad = Tensor::from({3}, g, DType::f64);
    course::sgd_step(p, g, b, 0.1, o);
    sgd.step(0.1);
    for (std::size_t i = 0; i < 3; ++i)
      ASSERT_NEAR(p[i], theirs.value().at(static_cast<std::int64_t>(i)), 1e-12);
  }
}

}  // namespace

TEST(Sgd, with_momentum) { expect_same_walk({}); }
TEST(Sgd, with_nesterov_momentum) { expect_same_walk({.nesterov = true}); }
TEST(Sgd, with_weight_decay) {
  expect_same_walk({.momentum = 0.5, .weight_decay = 0.01, .nesterov = true});
}

TEST(OneCycle, agrees_with_the_schedule) {
  const optim::Schedule schedule(
      {.kind = "one_cycle_linear", .lr = 0.4, .total_steps = 50, .warmup_fraction = 0.3});
  for (int s = 0; s < 50; ++s)
    ASSERT_NEAR(course::one_cycle(s, 50, 0.4, 0.3), schedule.lr(s), 1e-12);
}
