// Whole networks: gradients against differences in double, and training on one batch.
#include <gtest/gtest.h>

#include <cmath>

#include "nn/blocks.hpp"
#include "nn/registry.hpp"
#include "ops/cross_entropy.hpp"

namespace exciton::nn {
namespace {

Tensor random_labels(std::int64_t n, std::int64_t classes, Generator& rng) {
  Tensor labels({n}, DType::i64);
  for (auto& label : labels.span<std::int64_t>())
    label = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(classes)));
  return labels;
}

/// Compares the gradients of `net` in double with central differences at random elements of every
/// parameter. The step is small enough that a ReLU's kink is rarely crossed.
void check_network(Module& net, const Shape& images, std::int64_t classes) {
  convert(net, DType::f64);
  Generator rng(7);
  const Tensor x = Tensor::randn(images, rng, DType::f64);
  const Tensor labels = random_labels(images[0], classes, rng);
  const auto loss = [&] { return ops::cross_entropy(net(x), labels); };
  // Batch norm's 1 and 0 and an SE bias of almost 0 would hide factors.
  for (const auto& [name, p] : parameters(net))
    if (p->shape().rank() == 1)
      for (double& v : p->mutable_value().span<double>()) v += 0.3 * rng.normal();
  {
    Tape tape;
    tape.backward(loss());
  }
  int nonzero = 0, probes = 0;
  for (const auto& [name, p] : parameters(net)) {
    ASSERT_FALSE(p->grad.empty()) << name;
    for (int probe = 0; probe < 2; ++probe) {
      const auto i = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(p->numel())));
      const double eps = 1e-6, at = p->value().at(i);
      p->mutable_value().set(i, at + eps);
      const double up = loss().value().item();
      p->mutable_value().set(i, at - eps);
      const double down = loss().value().item();
      p->mutable_value().set(i, at);
      const double numeric = (up - down) / (2 * eps), analytic = p->grad.at(i);
      EXPECT_NEAR(analytic, numeric, 1e-6 * std::max(1.0, std::abs(numeric)))
          << name << " element " << i;
      ++probes;
      nonzero += std::abs(numeric) > 1e-5 ? 1 : 0;
    }
  }
  EXPECT_GT(2 * nonzero, probes) << "the check saw too few gradients";
}

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

/// Plain gradient descent on one batch; returns the first and the last loss.
std::pair<double, double> train(const std::string& name, std::int64_t image_size, double lr) {
  const Model model = make_model(name, {.classes = 10});
  Generator rng(5);
  const Tensor images = Tensor::randn({16, image_size, image_size, 3}, rng);
  const Tensor labels = random_labels(16, 10, rng);
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    Tape tape;
    const Var loss = ops::cross_entropy((*model.net)(images), labels);
    (step == 0 ? first : last) = loss.value().item();
    tape.backward(loss);
    for (const auto& [parameter_name, p] : parameters(*model.net)) {
      auto w = p->mutable_value().span<float>();
      const auto g = std::as_const(p->grad).span<float>();
      for (std::size_t i = 0; i < w.size(); ++i) w[i] -= static_cast<float>(lr) * g[i];
      p->grad = Tensor();
    }
  }
  return {first, last};
}

TEST(Training, LossFallsOnOneBatch) {
  for (const auto& [name, image_size] :
       {std::pair{"resnet20", 32}, {"se_resnet20", 32}, {"se_resnet18", 64}}) {
    const auto [first, last] = train(name, image_size, 0.1);
    EXPECT_GT(first, 1.5) << name;
    EXPECT_LT(last, 0.4 * first) << name;
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
