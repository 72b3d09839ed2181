// Evaluation without a tape folds batch norm into convolutions; it must compute what the single
// operators do, for every form of block, and notice when weights or statistics move.
#include "exciton/core/threads.hpp"
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/nn/units.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

/// Parameters and statistics as of a trained net: nothing is 1 or 0.
void look_trained(Module& net, Generator& rng) {
  for (const auto& [name, p] : parameters(net))
    if (p->shape().rank() == 1)
      for (float& v : p->mutable_value().span<float>())
        v += 0.3F * static_cast<float>(rng.normal());
  for (const auto& [name, t] : buffers(net)) {
    if (t->dtype() != DType::f32) continue;
    const bool variance = name.ends_with("var");
    for (float& v : t->span<float>())
      v = variance ? 0.5F + static_cast<float>(rng.uniform())
                   : 0.3F * static_cast<float>(rng.normal());
  }
}

Tensor evaluate(Module& net, const Tensor& x, bool fused) {
  set_fused(net, fused);
  return net(x).value().to(DType::f64);
}

/// Largest difference over the largest value.
double distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double difference = 0, largest = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    difference = std::max(difference, std::abs(a.at(i) - b.at(i)));
    largest = std::max(largest, std::abs(b.at(i)));
  }
  EXPECT_GT(largest, 0);
  return difference / largest;
}

void expect_same(Module& net, const Tensor& x, double tolerance) {
  EXPECT_LE(distance(evaluate(net, x, true), evaluate(net, x, false)), tolerance)
      << x.shape() << ' ' << x.dtype();
}

struct FoldedForm {
  std::string name, placement = "standard", squeeze = "avg", kind = "se";
  std::int64_t stride = 1;
};

class FoldedBlocks : public testing::TestWithParam<FoldedForm> {};

TEST_P(FoldedBlocks, ComputeWhatThePlainOperatorsDo) {
  const FoldedForm& f = GetParam();
  const SESpec se{.enabled = f.kind != "none",
                  .reduction = 3,
                  .squeeze = f.squeeze,
                  .placement = f.placement,
                  .kind = f.kind == "none" ? "se" : f.kind};
  Generator init(3), rng(4);
  Sequential net;
  net.add<Bottleneck>(BlockOptions{.in = 7, .width = 5, .stride = f.stride, .se = se}, init);
  net.add<BasicBlock>(BlockOptions{.in = 20, .width = 20, .se = se}, init);
  net.add<PreActBottleneck>(BlockOptions{.in = 20, .width = 4, .se = se}, init);
  net.add<ConvNorm>(
      ConvNormOptions{.in = 16, .out = 6, .se = se.placement == "standard" ? se : SESpec{}}, init);
  look_trained(net, rng);
  set_training(net, false);
  for (const std::int64_t images : {1, 2, 3, 8})
    for (const std::int64_t side : {1, 3, 9}) {  // few pixels and many beside the channels
      const Tensor x = Tensor::randn({images, side, side + 1, 7}, rng);
      expect_same(net, x, 1e-5);
      expect_same(net, x.to(DType::bf16), 0.04);
    }
}

std::vector<FoldedForm> forms() {
  std::vector<FoldedForm> all{{.name = "plain", .kind = "none"},
                              {.name = "plain_strided", .kind = "none", .stride = 2},
                              {.name = "strided", .stride = 2},
                              {.name = "max", .squeeze = "max"},
                              {.name = "no_squeeze", .squeeze = "none"}};
  for (const char* placement : {"standard", "pre", "post", "identity", "conv3x3"})
    all.push_back({.name = placement, .placement = placement});
  for (const char* kind : {"eca", "ge", "ese", "cbam"}) all.push_back({.name = kind, .kind = kind});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Forms, FoldedBlocks, testing::ValuesIn(forms()),
                         [](const auto& f) { return f.param.name; });

struct Size {
  const char* model;
  std::int64_t side;
};

class FoldedModels : public testing::TestWithParam<Size> {};

TEST_P(FoldedModels, ComputeWhatThePlainOperatorsDo) {
  const auto [name, side] = GetParam();
  Model model = make_model(name, {.classes = 7, .image_size = side});
  Generator rng(4);
  look_trained(*model.net, rng);
  set_training(*model.net, false);
  expect_same(*model.net, Tensor::randn({1, side, side, 3}, rng), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Zoo, FoldedModels,
                         testing::Values(Size{"se_resnet20", 12}, Size{"se_resnet18", 40},
                                         Size{"se_resnext50_32x4d", 40}, Size{"se_mobilenet", 40},
                                         Size{"se_shufflenet", 40}, Size{"se_bn_inception", 64},
                                         Size{"se_inception_resnet_v2", 75}),
                         [](const auto& size) { return std::string(size.param.model); });

TEST(Folding, NoticesWhatMoves) {
  Generator init(3), rng(4);
  BasicBlock net({.in = 5, .width = 5, .se = {.enabled = true, .reduction = 2}}, init);
  look_trained(net, rng);
  set_training(net, false);
  const Tensor x = Tensor::randn({2, 6, 5, 5}, rng);
  Tensor before = evaluate(net, x, true);
  const auto moved = [&](const char* what) {
    const Tensor now = evaluate(net, x, true);
    EXPECT_GT(distance(now, before), 1e-4) << what;
    expect_same(net, x, 1e-5);
    before = now;
  };
  net.conv1.weight.mutable_value().set(3, 2.0);
  moved("a weight");
  net.bn1.weight.mutable_value().set(0, 3.0);
  moved("gamma");
  net.bn2.bias.mutable_value().set(1, 3.0);
  moved("beta");
  net.bn2.running.mean.set(2, 4.0);
  moved("a running mean");
  net.bn1.running.var.set(2, 9.0);
  moved("a running variance");
  set_training(net, true);
  {
    Tape tape;
    tape.backward(net(x), Tensor::full({2, 6, 5, 5}, 1));
  }
  set_training(net, false);
  moved("statistics by a training step");
}

TEST(Folding, NoticesGatesThatMove) {
  Generator init(3), rng(4);
  Bottleneck net({.in = 20, .width = 5, .se = {.enabled = true, .reduction = 4}}, init);
  look_trained(net, rng);
  set_training(net, false);
  auto* const se = dynamic_cast<SqueezeExcite*>(attention_units(net).at(0).unit);
  ASSERT_TRUE(se);
  const Tensor x = Tensor::randn({2, 6, 5, 20}, rng);
  Tensor before = evaluate(net, x, true);
  for (Parameter* p :
       {&se->reduce_weight, &se->reduce_bias, &se->expand_weight, &se->expand_bias}) {
    for (float& v : p->mutable_value().span<float>()) v += 0.5F;
    const Tensor now = evaluate(net, x, true);
    EXPECT_GT(distance(now, before), 1e-4) << p->shape();
    expect_same(net, x, 1e-5);
    before = now;
  }
}

TEST(Folding, StaysAwayFromTheTape) {
  Generator init(3), rng(4);
  BasicBlock net({.in = 5, .width = 5}, init);
  look_trained(net, rng);
  set_training(net, false);
  set_fused(net, true);
  Tape tape;
  const Var x = tape.watch(Tensor::randn({2, 6, 5, 5}, rng));
  tape.backward(net(x), Tensor::full({2, 6, 5, 5}, 1));
  EXPECT_FALSE(net.conv1.weight.grad.empty());
  EXPECT_FALSE(net.bn1.weight.grad.empty());
}

}  // namespace
}  // namespace exciton::nn
