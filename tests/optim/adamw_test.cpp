#include "exciton/optim/adamw.hpp"

#include <cmath>

#include "tests/optim/support.hpp"

namespace exciton::optim {
namespace {

class AdamWGolden : public testing::TestWithParam<DType> {};

TEST_P(AdamWGolden, FollowsPyTorch) {
  expect_golden("adamw", GetParam(), [](const auto& c, std::vector<NamedParameter> parameters) {
    return AdamW(std::move(parameters), {.beta1 = c["beta1"],
                                         .beta2 = c["beta2"],
                                         .eps = c["eps"],
                                         .weight_decay = c["weight_decay"],
                                         .decay_norm_and_bias = c["decay_norm_and_bias"]});
  });
}

INSTANTIATE_TEST_SUITE_P(Types, AdamWGolden, testing::Values(DType::f32, DType::f64));

TEST(AdamW, FirstStepIsTheRateWhateverTheGradient) {
  // mh = g and vh = g^2, so the step is lr g / |g|.
  for (const double g : {1e-3, 5.0, -40.0}) {
    Parameter p(Tensor::from({1, 1}, {2}, DType::f64));
    p.grad = Tensor::from({1, 1}, {g}, DType::f64);
    AdamW adamw({{"p", &p}}, {.eps = 1e-30, .weight_decay = 0.5});
    adamw.step(0.1);
    EXPECT_NEAR(p.value().item(), 2 * (1 - 0.05) - std::copysign(0.1, g), 1e-14);
  }
}

TEST(AdamW, CountsTheStepsOfEachParameter) {
  Parameter often(Tensor::full({1, 1}, 1)), seldom(Tensor::full({1, 1}, 1));
  Parameter frozen(Tensor::full({1, 1}, 1));
  frozen.trainable = false;
  AdamW adamw({{"often", &often}, {"seldom", &seldom}, {"frozen", &frozen}}, {.weight_decay = 0});
  for (int i = 0; i < 3; ++i) {
    often.grad = Tensor::full({1, 1}, 3);
    if (i == 2) seldom.grad = Tensor::full({1, 1}, 3);
    frozen.grad = Tensor::full({1, 1}, 3);
    adamw.step(0.1);
  }
  EXPECT_EQ(values(*adamw.state().back().tensor), (std::vector<double>{3, 1, 0}));
  EXPECT_NEAR(seldom.value().item(), 0.9, 1e-6) << "a first step";
  EXPECT_EQ(frozen.value().item(), 1);
  EXPECT_TRUE(frozen.grad.empty());
}

TEST(AdamW, StateIsNamedAndResumes) {
  expect_resumes({"mean.w", "square.w", "steps"}, [](std::vector<NamedParameter> parameters) {
    return AdamW(std::move(parameters));
  });
}

TEST(AdamW, ThreadsDoNotChangeTheResult) {
  expect_same_on_any_threads(
      [](std::vector<NamedParameter> parameters) { return AdamW(std::move(parameters)); });
}

TEST(AdamW, SaysWhatIsWrong) {
  Parameter p(Tensor::full({1, 1}, 1));
  EXPECT_THROW(AdamW({{"p", &p}}, {.beta1 = 1}), Error);
  EXPECT_THROW(AdamW({{"p", &p}}, {.beta2 = -0.1}), Error);
  EXPECT_THROW(AdamW({{"p", &p}}, {.eps = 0}), Error);
  EXPECT_THROW(AdamW({{"p", &p}}, {.weight_decay = -1}), Error);
  AdamW adamw({{"stage1.w", &p}});
  EXPECT_THROW(adamw.step(-0.1), Error);
  p.grad = Tensor::full({2}, 1);
  try {
    adamw.step(0.1);
    FAIL() << "a gradient of another shape was applied";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("adamw: stage1.w"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace exciton::optim
