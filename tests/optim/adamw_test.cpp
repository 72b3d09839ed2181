#include "optim/adamw.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/threads.hpp"

namespace exciton::optim {
namespace {

std::vector<double> values(const Tensor& t) {
  std::vector<double> v;
  for (std::int64_t i = 0; i < t.numel(); ++i) v.push_back(t.at(i));
  return v;
}

class AdamWGolden : public testing::TestWithParam<DType> {};

TEST_P(AdamWGolden, FollowsPyTorch) {
  const DType type = GetParam();
  const double tolerance = type == DType::f64 ? 1e-14 : 2e-6;
  std::ifstream file(EXCITON_GOLDEN_DIR "/optim.json");
  const nlohmann::json recorded = nlohmann::json::parse(file)["adamw"];
  ASSERT_FALSE(recorded.empty());
  for (const auto& c : recorded) {
    SCOPED_TRACE(c["beta1"].dump() + ' ' + c["eps"].dump() + ' ' + c["weight_decay"].dump() + ' ' +
                 c["decay_norm_and_bias"].dump());
    Parameter weight(Tensor::from({3, 2}, c["weight"][0], type));
    Parameter bias(Tensor::from({3}, c["bias"][0], type));
    AdamW adamw({{"weight", &weight}, {"bias", &bias}},
                {.beta1 = c["beta1"],
                 .beta2 = c["beta2"],
                 .eps = c["eps"],
                 .weight_decay = c["weight_decay"],
                 .decay_norm_and_bias = c["decay_norm_and_bias"]});
    const std::size_t steps = c["weight_grad"].size();
    for (std::size_t s = 0; s < steps; ++s) {
      weight.grad = Tensor::from({3, 2}, c["weight_grad"][s], type);
      bias.grad = Tensor::from({3}, c["bias_grad"][s], type);
      adamw.step(c["lr"].get<double>() * (1 - static_cast<double>(s) / static_cast<double>(steps)));
      for (std::int64_t i = 0; i < 6; ++i)
        EXPECT_NEAR(weight.value().at(i), c["weight"][s + 1][i].get<double>(), tolerance);
      for (std::int64_t i = 0; i < 3; ++i)
        EXPECT_NEAR(bias.value().at(i), c["bias"][s + 1][i].get<double>(), tolerance);
    }
  }
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
  Generator rng(5);
  const Tensor start = Tensor::randn({5, 7}, rng);
  std::vector<Tensor> grads;
  for (int i = 0; i < 4; ++i) grads.push_back(Tensor::randn({5, 7}, rng));

  Parameter whole(start.clone());
  AdamW adamw({{"w", &whole}});
  Parameter resumed;
  std::vector<Tensor> saved;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == 2) {
      resumed = Parameter(whole.value().clone());
      for (const auto& [name, t] : adamw.state()) {
        names.push_back(name);
        saved.push_back(t->clone());
      }
    }
    whole.grad = grads[i].clone();
    adamw.step(0.1);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"mean.w", "square.w", "steps"}));
  AdamW again({{"w", &resumed}});
  const auto state = again.state();
  for (std::size_t i = 0; i < state.size(); ++i) state[i].tensor->copy_from(saved[i]);
  for (std::size_t i = 2; i < 4; ++i) {
    resumed.grad = grads[i].clone();
    again.step(0.1);
  }
  EXPECT_EQ(values(resumed.value()), values(whole.value()));
}

TEST(AdamW, ThreadsDoNotChangeTheResult) {
  const std::vector<std::int64_t> sizes{1, 40000, 3, 70001, 16384, 2};
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    Generator rng(9);
    std::vector<Parameter> p;
    std::vector<NamedParameter> named;
    for (const std::int64_t n : sizes) p.emplace_back(Tensor::rand({n, 1}, rng));
    for (auto& each : p) named.push_back({"p", &each});
    AdamW adamw(named);
    for (int step = 0; step < 2; ++step) {
      for (auto& each : p) each.grad = each.value().clone();
      adamw.step(0.1);
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
