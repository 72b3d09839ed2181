// The families without plain residual blocks: counts, shapes, and training on one batch.
#include <gtest/gtest.h>

#include <cmath>

#include "exciton/nn/layers.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/nn/summary.hpp"
#include "exciton/ops/cross_entropy.hpp"

namespace exciton::nn {
namespace {

struct Facts {
  std::string name;  // without se_
  std::int64_t plain, se_without_bias, se;
  std::int64_t multiply_adds, se_multiply_adds;  // at the native size, counted by hand
  int dropouts;                                  // layers that drop by default, as in the papers
};

// Parameters of the plain networks: imgclsmob's published counts (pytorch/README.md and the
// assertions in its model files) for MobileNet, ShuffleNet and Inception-ResNet-v2 (timm's, too);
// its bn_vgg16 for VGG; its bninception, 11,295,240, less the 10,016 biases that the SENet authors'
// prototxt does not have. Those with SE: 2 C h + C + h for each block, with h = floor(C / 16).
const Facts zoo[] = {
    {"vgg16_bn", 138'361'768, 138'588'072, 138'592'560, 15'470'264'320, 15'470'490'624, 2},
    {"bn_inception", 11'295'240 - 10'016, 11'924'584, 11'931'622, 2'032'600'064, 2'033'239'424, 0},
    {"inception_resnet_v2", 55'843'464, 64'338'824, 64'387'444, 13'155'794'016, 13'164'289'376, 1},
    {"mobilenet", 4'231'976, 4'711'720, 4'718'044, 568'740'352, 569'220'096, 0},
    {"shufflenet", 1'865'728, 2'476'144, 2'484'533, 137'460'672, 138'071'088, 0}};

class Zoo : public testing::TestWithParam<Facts> {};

// The SE network is built once; the plain one is it without its SE parameters.
TEST_P(Zoo, ParametersAndMultiplyAdds) {
  const Facts& f = GetParam();
  const SkipInitialization shapes_alone;
  Model model = make_model("se_" + f.name);
  std::int64_t plain = 0, without_bias = 0;
  for (const auto& [name, p] : parameters(*model.net)) {
    const bool se = name.find(".se.") != std::string::npos;
    plain += se ? 0 : p->numel();
    without_bias += se && name.ends_with(".bias") ? 0 : p->numel();
  }
  EXPECT_EQ(plain, f.plain);
  EXPECT_EQ(without_bias, f.se_without_bias);
  int dropouts = 0;
  for (const auto& [name, state] : buffers(*model.net)) dropouts += name.ends_with(".state");
  EXPECT_EQ(dropouts, f.dropouts);

  const Summary s = summarize(model);  // one image of the native size
  EXPECT_EQ(s.rows.back().output, (Shape{1, 1000}));
  EXPECT_EQ(s.parameters, f.se);
  EXPECT_EQ(s.parameters - s.se_parameters, f.plain);
  EXPECT_EQ(s.multiply_adds, f.se_multiply_adds);
  EXPECT_EQ(s.multiply_adds - s.se_multiply_adds, f.multiply_adds);
}

TEST_P(Zoo, PlainNetworkHasNoSE) {
  const Facts& f = GetParam();
  const SkipInitialization shapes_alone;
  Model model = make_model(f.name, {.classes = 7});
  for (const auto& [name, p] : parameters(*model.net))
    EXPECT_EQ(name.find("se."), std::string::npos) << name;
  set_training(*model.net, false);
  const std::int64_t side = model.image_size;
  const Var logits = (*model.net)(Tensor::zeros({1, side, side, 3}));
  EXPECT_EQ(logits.shape(), (Shape{1, 7}));
}

// The paper's "FLOPs", to its precision, where multiply-adds of convolutions and matrices explain
// them. Table 3 prints 140 M for ShuffleNet and table 2 11.75 G for Inception-ResNet-v2: those are
// not these networks' counts; neither are the SE columns, which count more than the two layers.
TEST(ZooCounts, OfThePaper) {
  const auto of = [](const std::string& name) {
    for (const Facts& f : zoo)
      if (f.name == name) return f;
    return Facts{};
  };
  const auto in_units = [](std::int64_t count, double unit) {
    return std::lround(static_cast<double>(count) / unit);
  };
  EXPECT_EQ(in_units(of("vgg16_bn").multiply_adds, 1e7), 1547);     // 15.47 G
  EXPECT_EQ(in_units(of("bn_inception").multiply_adds, 1e7), 203);  // 2.03 G
  EXPECT_EQ(in_units(of("mobilenet").multiply_adds, 1e6), 569);     // 569 M
  EXPECT_EQ(in_units(of("mobilenet").plain, 1e5), 42);              // 4.2 M
  EXPECT_EQ(in_units(of("mobilenet").se, 1e5), 47);                 // 4.7 M
  EXPECT_EQ(of("shufflenet").plain / 100'000, 18);                  // 1.8 M, cut
  EXPECT_EQ(of("shufflenet").se / 100'000, 24);                     // 2.4 M, cut
  // The authors' released SE-BN-Inception as OpenVINO's model zoo counts it, 11.922 M: every batch
  // norm is folded into one bias per channel.
  EXPECT_EQ(in_units(of("bn_inception").se - 10'016, 1e3), 11'922);
}

/// Plain gradient descent on one batch; returns the first and the last loss.
std::pair<double, double> train(const std::string& name, std::int64_t image_size, double lr,
                                int steps) {
  const Model model = make_model(name, {.classes = 10, .image_size = image_size, .dropout = 0}, 3);
  Generator rng(5);
  const Tensor images = Tensor::randn({2, image_size, image_size, 3}, rng);
  const Tensor labels = Tensor::from({2}, {3, 8}, DType::i64);
  double first = 0, last = 0;
  for (int step = 0; step < steps; ++step) {
    Tape tape;
    const Var loss = ops::cross_entropy((*model.net)(images), labels);
    (step == 0 ? first : last) = loss.value().item();
    tape.backward(loss);
    for (const auto& [parameter, p] : parameters(*model.net)) {
      EXPECT_FALSE(p->grad.empty()) << parameter;
      if (p->grad.empty()) continue;
      auto w = p->mutable_value().span<float>();
      const auto g = std::as_const(p->grad).span<float>();
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= static_cast<float>(lr) * g[i];
      p->grad = Tensor();
    }
  }
  return {first, last};
}

/// The smallest images that leave batch norm some pixels in the last stage.
std::int64_t small_images(const std::string& name) {
  return name == "vgg16_bn" ? 32 : name == "inception_resnet_v2" ? 107 : 64;
}

TEST_P(Zoo, LossFallsOnOneBatch) {
  const std::string& name = GetParam().name;
  const bool large = name == "vgg16_bn" || name == "inception_resnet_v2";
  const double lr = name == "shufflenet" ? 0.003 : 0.02;
  for (const std::string prefix : {"se_", ""}) {
    if (large && prefix.empty()) continue;  // a part of the network with SE, and takes as long
    const auto [first, last] = train(prefix + name, small_images(name), lr, 8);
    EXPECT_GT(first, 1.0) << prefix;
    EXPECT_LT(last, 0.7 * first) << prefix;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Zoo, testing::ValuesIn(zoo),
                         [](const auto& network) { return network.param.name; });

TEST(ZooLayers, WindowsOfUnequalSides) {
  Generator init(1);
  Conv2d wide(4, 6, {1, 7}, {.padding_w = 3}, init);
  EXPECT_EQ(wide.weight.shape(), (Shape{6, 4, 1, 7}));
  EXPECT_EQ(wide(Tensor::zeros({2, 5, 9, 4})).shape(), (Shape{2, 5, 9, 6}));
  Conv2d high(4, 6, {7, 1}, {.padding = 3, .padding_w = 0}, init);
  EXPECT_EQ(high.weight.shape(), (Shape{6, 4, 7, 1}));
  EXPECT_EQ(high(Tensor::zeros({2, 5, 9, 4})).shape(), (Shape{2, 5, 9, 6}));
  EXPECT_THROW(Conv2d(4, 6, {0, 7}, {}, init), Error);
}

TEST(ZooOptions, AreReadOrRefused) {
  EXPECT_THROW(make_model("mobilenet", {.shortcut = "zero_pad"}), Error);
  EXPECT_THROW(make_model("shufflenet", {.stem = "3x3"}), Error);
  EXPECT_THROW(make_model("vgg16_bn", {.image_size = 100}), Error);
  EXPECT_THROW(make_model("se_mobilenet", {.se = {.placement = "post"}}), Error);

  // fc1 follows the image size, and says so when it does not fit.
  const Model small = make_model("vgg16_bn", {.classes = 10, .image_size = 32});
  EXPECT_EQ(small.image_size, 32);
  set_training(*small.net, false);
  EXPECT_EQ((*small.net)(Tensor::zeros({2, 32, 32, 3})).shape(), (Shape{2, 10}));
  EXPECT_THROW((*small.net)(Tensor::zeros({2, 64, 64, 3})), Error);

  const Model grey = make_model("mobilenet", {.classes = 10, .image_channels = 1});
  EXPECT_EQ(parameter_count(*grey.net), 4'231'976 - 990 * 1025 - 2 * 9 * 32);
  // Hidden units of the first SE block, of 216 channels: 54 instead of 13.
  const Model wide = make_model("se_shufflenet", {.se = {.reduction = 4}});
  EXPECT_EQ(parameters(*wide.net)[12].name, "stage1.0.se.reduce.weight");
  EXPECT_EQ(parameters(*wide.net)[12].parameter->shape(), (Shape{54, 216}));
}

// Both paths of every family, in training: the fused operators and their plain twins.
TEST_P(Zoo, FusedComputesWhatThePlainOperatorsDo) {
  const std::string& name = GetParam().name;
  const std::int64_t side = small_images(name);
  const Model model = make_model("se_" + name, {.classes = 5, .image_size = side, .dropout = 0}, 2);
  Generator rng(3);
  const Tensor x = Tensor::randn({2, side, side, 3}, rng);
  set_training(*model.net, false);
  set_fused(*model.net, true);
  const Tensor fused = (*model.net)(x).value();
  set_fused(*model.net, false);
  const Tensor plain = (*model.net)(x).value();
  double scale = 0;
  for (std::int64_t i = 0; i < plain.numel(); ++i) scale = std::max(scale, std::abs(plain.at(i)));
  EXPECT_GT(scale, 1e-3);
  for (std::int64_t i = 0; i < plain.numel(); ++i)
    EXPECT_NEAR(fused.at(i), plain.at(i), 1e-4 * scale);
}

}  // namespace
}  // namespace exciton::nn
