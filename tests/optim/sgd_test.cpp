#include "exciton/optim/sgd.hpp"

#include "tests/optim/support.hpp"

namespace exciton::optim {
namespace {

Parameter scalar(double value, double grad) {
  Parameter p(Tensor::from({1, 1}, {value}, DType::f64));
  p.grad = Tensor::from({1, 1}, {grad}, DType::f64);
  return p;
}

class SgdGolden : public testing::TestWithParam<DType> {};

TEST_P(SgdGolden, EveryVariantFollowsPyTorch) {
  expect_golden("sgd", GetParam(), [](const auto& c, std::vector<NamedParameter> parameters) {
    return Sgd(std::move(parameters), {.momentum = c["momentum"],
                                       .nesterov = c["nesterov"],
                                       .weight_decay = c["weight_decay"],
                                       .decoupled = c["decoupled"],
                                       .decay_norm_and_bias = c["decay_norm_and_bias"]});
  });
}

INSTANTIATE_TEST_SUITE_P(Types, SgdGolden, testing::Values(DType::f32, DType::f64));

TEST(Sgd, MomentumByHand) {
  Parameter p = scalar(1, 2);
  Sgd sgd({{"p", &p}}, {.momentum = 0.5});
  sgd.step(0.1);  // b = 2, p = 1 - 0.2
  EXPECT_DOUBLE_EQ(p.value().item(), 0.8);
  p.grad = Tensor::full({1, 1}, 1, DType::f64);
  sgd.step(0.1);  // b = 0.5 * 2 + 1 = 2, p = 0.8 - 0.2
  EXPECT_DOUBLE_EQ(p.value().item(), 0.6);
}

TEST(Sgd, NesterovLooksAhead) {
  Parameter p = scalar(1, 2);
  Sgd sgd({{"p", &p}}, {.momentum = 0.5, .nesterov = true});
  sgd.step(0.1);  // b = 2, g + 0.5 b = 3
  EXPECT_DOUBLE_EQ(p.value().item(), 0.7);
}

TEST(Sgd, ClassicDecayEntersTheMomentumAndDecoupledDoesNot) {
  Parameter classic = scalar(1, 0), decoupled = scalar(1, 0);
  Sgd a({{"p", &classic}}, {.momentum = 0.5, .weight_decay = 0.1});
  Sgd b({{"p", &decoupled}}, {.momentum = 0.5, .weight_decay = 0.1, .decoupled = true});
  a.step(1);
  b.step(1);
  EXPECT_DOUBLE_EQ(a.state()[0].tensor->item(), 0.1);
  EXPECT_DOUBLE_EQ(b.state()[0].tensor->item(), 0);
  EXPECT_DOUBLE_EQ(classic.value().item(), 0.9);
  EXPECT_DOUBLE_EQ(decoupled.value().item(), 0.9);
}

TEST(Sgd, StepClearsGradientsAndMovesTheVersion) {
  Parameter p = scalar(1, 2);
  Sgd sgd({{"p", &p}});
  const std::uint64_t before = p.version();
  sgd.step(0.1);
  EXPECT_TRUE(p.grad.empty());
  EXPECT_GT(p.version(), before);
}

TEST(Sgd, LeavesParametersWithoutGradientAndFrozenOnesAlone) {
  Parameter idle(Tensor::full({2}, 1)), frozen = scalar(1, 2);
  frozen.trainable = false;
  Sgd sgd({{"idle", &idle}, {"frozen", &frozen}}, {.momentum = 0.9, .weight_decay = 0.1});
  sgd.step(0.1);
  EXPECT_EQ(values(idle.value()), (std::vector<double>{1, 1}));
  EXPECT_EQ(frozen.value().item(), 1);
  EXPECT_TRUE(frozen.grad.empty());
}

TEST(Sgd, StateIsNamedAndResumes) {
  expect_resumes({"momentum.w"}, [](std::vector<NamedParameter> parameters) {
    return Sgd(std::move(parameters), {.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});
  });
}

TEST(Sgd, ThreadsDoNotChangeTheResult) {
  expect_same_on_any_threads([](std::vector<NamedParameter> parameters) {
    return Sgd(std::move(parameters), {.momentum = 0.9, .weight_decay = 0.01});
  });
}

TEST(Sgd, SaysWhatIsWrong) {
  Parameter p = scalar(1, 2);
  EXPECT_THROW(Sgd({{"p", &p}}, {.momentum = 1}), Error);
  EXPECT_THROW(Sgd({{"p", &p}}, {.momentum = 0, .nesterov = true}), Error);
  EXPECT_THROW(Sgd({{"p", &p}}, {.weight_decay = -1}), Error);
  Sgd sgd({{"stage1.w", &p}});
  EXPECT_THROW(sgd.step(-0.1), Error);
  p.grad = Tensor::full({2}, 1, DType::f64);
  try {
    sgd.step(0.1);
    FAIL() << "a gradient of another shape was applied";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("stage1.w"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace exciton::optim
