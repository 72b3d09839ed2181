// Whole networks: gradients against differences in double, and training on one batch.
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

TEST(Gradients, OfSEResNet20) {
  const Model model = make_model("se_resnet20", {.se = {.reduction = 4}});
  check_network(*model.net, {3, 8, 8, 3}, 10);
}

TEST(Gradients, OfResNet20WithZeroPaddedShortcuts) {
  const Model model = make_model("resnet20", {.shortcut = "zero_pad"});
  check_network(*model.net, {3, 8, 8, 3}, 10);
}

TEST(Gradients, OfBottlenecksWithEveryOption) {
  Generator init(2);
  Sequential net;
  net.add<Conv2d>(2, 8, 3, ops::ConvSpec{.padding = 1, .dilation = 1}, init, true);
  net.add<BatchNorm>(8);
  net.add<Relu>();
  net.add<MaxPool>(ops::PoolSpec{.kernel = 3, .stride = 2, .ceil_mode = true});
  SESpec se{.enabled = true, .reduction = 4};
  net.add<Bottleneck>(BlockOptions{.in = 8, .width = 3, .se = se}, init);
  se.squeeze = "max";
  se.gate = "tanh";
  net.add<Bottleneck>(
      BlockOptions{
          .in = 12, .width = 5, .stride = 2, .se = se, .shortcut = "zero_pad", .stride_on = "3x3"},
      init);
  se.bias = false;
  se.gate = "sigmoid";
  net.add<Bottleneck>(BlockOptions{.in = 20, .width = 5, .se = se}, init);
  net.add<AvgPool>(ops::PoolSpec{.kernel = 2, .stride = 1});
  net.add<GlobalAvgPool>();
  net.add<Linear>(20, 5, init);
  check_network(net, {3, 11, 9, 2}, 5);
}

TEST(Fused, ComputesWhatThePlainOperatorsDo) {
  const Model model = make_model("se_resnet20", {.se = {.reduction = 4}});
  convert(*model.net, DType::f64);
  Generator rng(3);
  const Tensor x = Tensor::randn({2, 12, 8, 3}, rng, DType::f64);
  const auto logits = [&](bool training, bool fused) {
    set_training(*model.net, training);
    set_fused(*model.net, fused);
    return (*model.net)(x).value();
  };
  for (const bool training : {true, false}) {
    const Tensor fused = logits(training, true), plain = logits(training, false);
    for (std::int64_t i = 0; i < fused.numel(); ++i)
      EXPECT_NEAR(fused.at(i), plain.at(i), 1e-9 * std::max(1.0, std::abs(plain.at(i))));
  }
}

/// The first and the last loss of descent on one batch.
std::pair<double, double> train(const std::string& name, std::int64_t image_size, double lr) {
  const Model model = make_model(name, {.classes = 10});
  Generator rng(5);
  const Tensor images = Tensor::randn({16, image_size, image_size, 3}, rng);
  const auto losses = descend(*model.net, images, random_labels(16, 10, rng), 20, lr);
  return {losses.front(), losses.back()};
}

TEST(Training, LossFallsOnOneBatch) {
  for (const auto& [name, image_size] :
       {std::pair{"resnet20", 32}, {"se_resnet20", 32}, {"se_resnet18", 64}}) {
    const auto [first, last] = train(name, image_size, 0.1);
    EXPECT_GT(first, 1.5) << name;
    EXPECT_LT(last, 0.4 * first) << name;
  }
  // Pre-activation nets are slower at first: no norm stands before the sums.
  for (const char* name : {"preresnet20", "se_preresnet20", "wrn10_2", "se_wrn10_2"}) {
    const auto [first, last] = train(name, 16, 0.1);
    EXPECT_GT(first, 1.5) << name;
    EXPECT_LT(last, 0.7 * first) << name;
  }
}

// Families whose own networks are too large for a test, with a block a stage.
TEST(Training, LossFallsForASmallRelativeOfEveryFamily) {
  struct Relative {
    const char* name;
    std::int64_t image_size;
    std::vector<std::int64_t> blocks;
  };
  for (const Relative& r :
       {Relative{"se_resnet50", 32, {1, 1, 1, 1}}, Relative{"se_resnext50_32x4d", 32, {1, 1, 1, 1}},
        Relative{"senet154", 32, {1, 1, 1, 1}}, Relative{"se_resnet164", 16, {1, 1, 1}},
        Relative{"se_preresnet164", 16, {1, 1, 1}}, Relative{"shake_shake26_2x32d", 16, {1, 1, 1}},
        Relative{"se_shake_shake26_2x32d", 16, {1, 1, 1}},
        Relative{"shake_even29_2x4x64d", 16, {1, 1, 1}},
        Relative{"se_shake_even29_2x4x64d", 16, {1, 1, 1}}}) {
    const Model model = make_model(r.name, {.classes = 10, .blocks = r.blocks});
    Generator rng(5);
    const Tensor images = Tensor::randn({8, r.image_size, r.image_size, 3}, rng);
    const auto losses = descend(*model.net, images, random_labels(8, 10, rng), 12, 0.05);
    EXPECT_GT(losses.front(), 1.5) << r.name;
    EXPECT_LT(losses.back(), 0.75 * losses.front()) << r.name;
  }
}

TEST(Training, FrozenParametersGetNoGradient) {
  const Model model = make_model("se_resnet20");
  Generator rng(5);
  const auto all = parameters(*model.net);
  all[3].parameter->trainable = false;
  Tape tape;
  tape.backward(ops::cross_entropy((*model.net)(Tensor::randn({4, 32, 32, 3}, rng)),
                                   random_labels(4, 10, rng)));
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i].parameter->grad.empty(), i == 3) << all[i].name;
}

}  // namespace
}  // namespace exciton::nn
