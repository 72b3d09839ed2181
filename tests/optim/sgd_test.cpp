#include "optim/sgd.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/threads.hpp"

namespace exciton::optim {
namespace {

nlohmann::json golden() {
  std::ifstream file(EXCITON_GOLDEN_DIR "/optim.json");
  return nlohmann::json::parse(file);
}

std::vector<double> values(const Tensor& t) {
  std::vector<double> v;
  for (std::int64_t i = 0; i < t.numel(); ++i) v.push_back(t.at(i));
  return v;
}

Parameter scalar(double value, double grad) {
  Parameter p(Tensor::from({1, 1}, {value}, DType::f64));
  p.grad = Tensor::from({1, 1}, {grad}, DType::f64);
  return p;
}

class SgdGolden : public testing::TestWithParam<DType> {};

TEST_P(SgdGolden, EveryVariantFollowsPyTorch) {
  const DType type = GetParam();
  const double tolerance = type == DType::f64 ? 1e-14 : 2e-6;
  const nlohmann::json recorded = golden();
  ASSERT_FALSE(recorded["sgd"].empty());
  for (const auto& c : recorded["sgd"]) {
    SCOPED_TRACE(c["momentum"].dump() + c["nesterov"].dump() + c["weight_decay"].dump() +
                 c["decoupled"].dump() + c["decay_norm_and_bias"].dump());
    Parameter weight(Tensor::from({3, 2}, c["weight"][0], type));
    Parameter bias(Tensor::from({3}, c["bias"][0], type));
    Sgd sgd({{"weight", &weight}, {"bias", &bias}},
            {.momentum = c["momentum"],
             .nesterov = c["nesterov"],
             .weight_decay = c["weight_decay"],
             .decoupled = c["decoupled"],
             .decay_norm_and_bias = c["decay_norm_and_bias"]});
    const std::size_t steps = c["weight_grad"].size();
    for (std::size_t s = 0; s < steps; ++s) {
      weight.grad = Tensor::from({3, 2}, c["weight_grad"][s], type);
      bias.grad = Tensor::from({3}, c["bias_grad"][s], type);
      sgd.step(c["lr"].get<double>() * (1 - static_cast<double>(s) / static_cast<double>(steps)));
      for (std::int64_t i = 0; i < 6; ++i)
        EXPECT_NEAR(weight.value().at(i), c["weight"][s + 1][i].get<double>(), tolerance);
      for (std::int64_t i = 0; i < 3; ++i)
        EXPECT_NEAR(bias.value().at(i), c["bias"][s + 1][i].get<double>(), tolerance);
    }
  }
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
  Generator rng(5);
  const Tensor start = Tensor::randn({5, 7}, rng);
  std::vector<Tensor> grads;
  for (int i = 0; i < 4; ++i) grads.push_back(Tensor::randn({5, 7}, rng));
  const SgdOptions options{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4};

  Parameter whole(start.clone());
  Sgd sgd({{"w", &whole}}, options);
  Parameter resumed;
  Tensor saved;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == 2) {
      resumed = Parameter(whole.value().clone());
      ASSERT_EQ(sgd.state().size(), 1u);
      EXPECT_EQ(sgd.state()[0].name, "momentum.w");
      saved = sgd.state()[0].tensor->clone();
    }
    whole.grad = grads[i].clone();
    sgd.step(0.1);
  }
  Sgd again({{"w", &resumed}}, options);
  again.state()[0].tensor->copy_from(saved);
  for (std::size_t i = 2; i < 4; ++i) {
    resumed.grad = grads[i].clone();
    again.step(0.1);
  }
  EXPECT_EQ(values(resumed.value()), values(whole.value()));
}

TEST(Sgd, ThreadsDoNotChangeTheResult) {
  // Sizes around the pieces of the parallel pass, tiny ones between large ones.
  const std::vector<std::int64_t> sizes{1, 40000, 3, 70001, 16384, 2};
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    Generator rng(9);
    std::vector<Parameter> p;
    std::vector<NamedParameter> named;
    for (const std::int64_t n : sizes) p.emplace_back(Tensor::rand({n, 1}, rng));
    for (auto& each : p) named.push_back({"p", &each});
    Sgd sgd(named, {.momentum = 0.9, .weight_decay = 0.01});
    for (int step = 0; step < 2; ++step) {
      for (auto& each : p) each.grad = each.value().clone();
      sgd.step(0.1);
    }
    set_num_threads(before);
    std::vector<double> all;
    for (const auto& each : p)
      for (const double v : values(each.value())) all.push_back(v);
    return all;
  };
  const auto one = run(1);
  EXPECT_EQ(one, run(2));
  EXPECT_EQ(one, run(5));
  // Every element moved by the same factor: w (1 - 0.1 * 1.01) after one step, and so on.
  Generator rng(9);
  const double first = Tensor::rand({1, 1}, rng).at(0);
  const double w1 = first * (1 - 0.101), b1 = first * 1.01;
  EXPECT_NEAR(one[0], w1 - 0.1 * (0.9 * b1 + 1.01 * w1), 1e-6);
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
