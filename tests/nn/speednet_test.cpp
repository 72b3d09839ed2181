/// The networks of the speed-run and what they begin with.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "exciton/core/threads.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/nn/whitening.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "tests/nn/golden_noise.hpp"

namespace exciton::nn {
namespace {

/// As make_speedrun_golden.py makes them: noise, and half of the left neighbour.
Tensor images_of(const nlohmann::json& c) {
  const std::int64_t n = c["n"], side = c["side"], channels = c["channels"];
  const Tensor plain = noise({n, side, side, channels}, 5, 1);
  Tensor out = plain.to(DType::f32).clone();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const std::int64_t x = i / channels % side;
    const std::int64_t left = x > 0 ? i - channels : i + (side - 1) * channels;
    out.set(i, plain.at(i) + 0.5 * plain.at(left));
  }
  return out;
}

TEST(Whitening, FollowsPyTorch) {
  std::ifstream file(EXCITON_GOLDEN_DIR "/speedrun.json");
  const nlohmann::json cases = nlohmann::json::parse(file)["whitening"];
  ASSERT_EQ(cases.size(), 2u);
  for (const auto& c : cases) {
    const std::int64_t kernel = c["kernel"], d = c["channels"].get<std::int64_t>() * 4;
    const Tensor filters = whitening_filters(images_of(c), kernel);
    ASSERT_EQ(filters.shape(), (Shape{2 * d, d / 4, kernel, kernel}));
    for (std::int64_t i = 0; i < d * d; ++i) {
      EXPECT_NEAR(filters.at(i), c["filters"][static_cast<std::size_t>(i)].get<double>(), 2e-5);
      EXPECT_EQ(filters.at(d * d + i), -filters.at(i));
    }
  }
}

TEST(Whitening, OutputsAreUncorrelatedAndThreadsChangeNoBit) {
  Generator rng(3);
  Tensor images = Tensor::randn({70, 8, 9, 3}, rng);
  for (std::int64_t i = 3; i < images.numel(); ++i)
    images.set(i, images.at(i) + 0.8 * images.at(i - 3) + 0.1);
  const int before = num_threads();
  set_num_threads(1);
  const Tensor one = whitening_filters(images, 2);
  set_num_threads(3);
  const Tensor more = whitening_filters(images, 2);
  set_num_threads(before);
  EXPECT_TRUE(std::ranges::equal(one.span<float>(), more.span<float>()));
  const Tensor y = ops::conv2d(images, one).value();
  const std::int64_t pixels = y.numel() / 24;
  for (std::int64_t a = 0; a < 12; ++a)
    for (std::int64_t b = 0; b <= a; ++b) {
      double sum = 0;
      for (std::int64_t p = 0; p < pixels; ++p) sum += y.at(p * 24 + a) * y.at(p * 24 + b);
      EXPECT_NEAR(sum / static_cast<double>(pixels), a == b ? 1 : 0, a == b ? 0.05 : 1e-3);
    }
}

TEST(Whitening, EigenvaluesByHand) {
  const SymmetricEigen e = symmetric_eigen({2, 1, 1, 2}, 2);
  EXPECT_NEAR(e.values[0], 3, 1e-12);
  EXPECT_NEAR(e.values[1], 1, 1e-12);
  EXPECT_NEAR(e.vectors[0], std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(e.vectors[1], std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(e.vectors[2] + e.vectors[3], 0, 1e-12);
  EXPECT_THROW(symmetric_eigen({1, 2, 3}, 2), Error);
  EXPECT_THROW(symmetric_eigen({NAN}, 1), Error);
  EXPECT_THROW(whitening_filters(Tensor::zeros({2, 1, 5, 3}), 2), Error);
  EXPECT_THROW(whitening_filters(Tensor::zeros({2, 4, 4, 3}, DType::f64), 2), Error);
}

TEST(Dirac, FirstFiltersAreTheIdentity) {
  Generator rng(3);
  Parameter w(Tensor::full({5, 3, 3, 3}, 7));
  set_dirac(w);
  for (std::int64_t o = 0; o < 5; ++o)
    for (std::int64_t k = 0; k < 27; ++k)
      EXPECT_EQ(w.value().at(o * 27 + k), o >= 3 ? 7 : k == o * 9 + 4 ? 1 : 0) << o << ' ' << k;
  Parameter narrow(Tensor::full({2, 3, 3, 3}, 7));
  set_dirac(narrow);
  const Tensor x = Tensor::randn({1, 5, 6, 3}, rng);
  const Tensor y = ops::conv2d(x, narrow, {}, {.padding = 1}).value();
  for (std::int64_t p = 0; p < 30; ++p)
    for (std::int64_t c = 0; c < 2; ++c) EXPECT_EQ(y.at(p * 2 + c), x.at(p * 3 + c));
  Parameter even(Tensor::zeros({2, 2, 2, 2}));
  EXPECT_THROW(set_dirac(even), Error);
}

// 24 filters of 12 values with their biases, the convolutions, norms (scale and shift of each) and
// the head without biases; multiply-adds of maps of 31, 15, 7 and 3 pixels a side.
TEST(SpeedNet, CountsByHand) {
  const auto conv = [](std::int64_t side, std::int64_t in, std::int64_t out) {
    return side * side * 9 * in * out;
  };
  Model model = make_model("speednet94");
  EXPECT_EQ(parameter_count(*model.net), 24 * 12 + 24 +
                                             9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) +
                                             2 * (2 * 64 + 4 * 256) + 2560);
  EXPECT_EQ(summarize(model).multiply_adds,
            31 * 31 * 24 * 12 + conv(31, 24, 64) + conv(15, 64, 64) + conv(15, 64, 256) +
                conv(7, 256, 256) + conv(7, 256, 256) + conv(3, 256, 256) + 2560);
  Model deep = make_model("speednet96");
  EXPECT_EQ(parameter_count(*deep.net) - 24 * 12 - 24 - 5120,
            9 * (24 * 128 + 2 * 128 * 128 + 128 * 512 + 5 * 512 * 512) + 6 * (128 + 512 + 512));
}

TEST(SpeedNet, WhiteningAndNormScalesAreFrozen) {
  Model model = make_model("se_speednet94", {.widths = {16, 24, 24}});
  set_training(*model.net, true);
  EXPECT_GT(model.net->initial_pixels(), 0);
  Generator rng(3);
  const Tensor images = Tensor::randn({20, 32, 32, 3}, rng);
  model.net->initialize(images);
  const Tensor filters = whitening_filters(images, 2);
  {
    Tape tape;
    tape.backward(ops::cross_entropy(model(images), Tensor::zeros({20}, DType::i64)));
  }
  for (const auto& [name, p] : parameters(*model.net)) {
    const bool frozen = name == "whiten.weight" ||
                        (name.find(".bn") != std::string::npos && name.ends_with("weight"));
    EXPECT_EQ(p->trainable, !frozen) << name;
    EXPECT_EQ(p->grad.empty(), frozen) << name;
    if (name != "whiten.weight") continue;
    EXPECT_TRUE(std::ranges::equal(std::as_const(*p).value().span<float>(), filters.span<float>()));
  }
}

struct Form {
  std::string name, placement = "standard", activation = "";
  std::vector<std::int64_t> blocks = {};
  bool se = true;
};

class SpeedNetForms : public testing::TestWithParam<Form> {};

// In evaluation folded against single operators; in training fused against single ones, by the loss
// of a step and its gradients.
TEST_P(SpeedNetForms, EveryPathComputesTheSame) {
  const Form& f = GetParam();
  ModelOptions options{
      .classes = 5, .activation = f.activation, .blocks = f.blocks, .widths = {10, 12, 14}};
  if (f.se) options.se = {.reduction = 4, .placement = f.placement};
  const Model model = make_model(f.se ? "se_speednet94" : "speednet94", options, 2);
  Generator rng(3);
  for (const auto& [name, t] : buffers(*model.net))
    t->copy_from(name.ends_with("var") ? Tensor::rand(t->shape(), rng, 0.5, 1.5)
                                       : Tensor::rand(t->shape(), rng, -0.2, 0.2));
  const Tensor x = Tensor::randn({4, 17, 20, 3}, rng);
  const Tensor labels = Tensor::from({4}, {0, 3, 1, 4}, DType::i64);
  const auto run = [&](bool fused, bool training) {
    set_fused(*model.net, fused);
    set_training(*model.net, training);
    std::vector<double> out;
    if (!training) {
      const Tensor y = model(x).value();
      for (std::int64_t i = 0; i < y.numel(); ++i) out.push_back(y.at(i));
      return out;
    }
    Tape tape;
    const Var loss = ops::cross_entropy(model(x), labels);
    out.push_back(loss.value().item());
    tape.backward(loss);
    for (const auto& [name, p] : parameters(*model.net)) {
      for (std::int64_t i = 0; i < (p->grad.empty() ? 0 : p->grad.numel()); ++i)
        out.push_back(p->grad.at(i));
      p->grad = Tensor();
    }
    return out;
  };
  for (const bool training : {false, true}) {
    const std::vector<double> a = run(true, training), b = run(false, training);
    ASSERT_EQ(a.size(), b.size());
    double scale = 0;
    for (const double v : b) scale = std::max(scale, std::abs(v));
    EXPECT_GT(scale, 1e-3);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-4 * scale) << training;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, SpeedNetForms,
    testing::Values(
        Form{.name = "plain", .se = false}, Form{.name = "standard"},
        Form{.name = "pre", .placement = "pre"}, Form{.name = "post", .placement = "post"},
        Form{.name = "conv3x3", .placement = "conv3x3"}, Form{.name = "silu", .activation = "silu"},
        Form{.name = "relu", .activation = "relu"}, Form{.name = "shallow", .blocks = {1, 2, 1}},
        Form{.name = "deep", .blocks = {3, 2, 3}},
        Form{.name = "deep_plain", .blocks = {3, 3, 3}, .se = false},
        Form{.name = "identity", .placement = "identity", .blocks = {3, 3, 3}}),
    [](const auto& f) { return f.param.name; });

TEST(SpeedNet, OptionsAreReadOrRefused) {
  EXPECT_THROW(make_model("speednet94", {.blocks = {2, 4, 2}}), Error);
  EXPECT_THROW(make_model("speednet94", {.blocks = {0, 1, 1}}), Error);
  EXPECT_THROW(make_model("speednet94", {.activation = "swish"}), Error);
  EXPECT_THROW(make_model("resnet20", {.activation = "gelu"}), Error);
  EXPECT_THROW(make_model("se_speednet94", {.se = {.placement = "identity"}}), Error);
  // The options of norms are every network's.
  for (const char* name : {"speednet94", "resnet20"}) {
    const Model model = make_model(name, {.norm_momentum = 0.25, .norm_eps = 1e-3});
    struct Norms final : Visitor {
      int found = 0;
      void enter(const std::string&, Module& m) override {
        if (const auto* norm = dynamic_cast<BatchNorm*>(&m)) {
          ++found;
          EXPECT_EQ(norm->options.momentum, 0.25);
          EXPECT_EQ(norm->options.eps, 1e-3);
        }
      }
    } norms;
    norms.walk(*model.net);
    EXPECT_GT(norms.found, 5);
  }
  const Model grey = make_model("speednet93", {.image_channels = 1});
  EXPECT_EQ(parameters(*grey.net)[0].parameter->shape(), (Shape{8, 1, 2, 2}));
}

}  // namespace
}  // namespace exciton::nn
