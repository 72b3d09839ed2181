#include "exciton/nn/module.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn {
namespace {

template <class Named>
std::vector<std::string> names(const std::vector<Named>& found) {
  std::vector<std::string> out;
  for (const auto& each : found) out.push_back(each.name);
  return out;
}

// Checkpoints depend on these: a change of one is a change of the format.
TEST(Names, AreStable) {
  const Model model = make_model("se_resnet20");
  const auto all = names(parameters(*model.net));
  const std::vector<std::string> start{"conv1.weight",
                                       "bn1.weight",
                                       "bn1.bias",
                                       "stage1.0.conv1.weight",
                                       "stage1.0.bn1.weight",
                                       "stage1.0.bn1.bias",
                                       "stage1.0.conv2.weight",
                                       "stage1.0.bn2.weight",
                                       "stage1.0.bn2.bias",
                                       "stage1.0.se.reduce.weight",
                                       "stage1.0.se.reduce.bias",
                                       "stage1.0.se.expand.weight",
                                       "stage1.0.se.expand.bias",
                                       "stage1.1.conv1.weight"};
  ASSERT_GT(all.size(), start.size());
  EXPECT_EQ(std::vector<std::string>(all.begin(), all.begin() + 14), start);
  EXPECT_EQ(std::vector<std::string>(all.end() - 2, all.end()),
            (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_NE(std::find(all.begin(), all.end(), "stage2.0.shortcut.conv.weight"), all.end());
  EXPECT_NE(std::find(all.begin(), all.end(), "stage3.0.shortcut.bn.bias"), all.end());
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), all.size());

  const auto state = names(buffers(*model.net));
  EXPECT_EQ(state[0], "bn1.running_mean");
  EXPECT_EQ(state[1], "bn1.running_var");
  EXPECT_EQ(state.size(), 2u * (1 + 18 + 2));
}

TEST(Names, OfBottlenecks) {
  const Model model = make_model("resnet50");
  const auto all = names(parameters(*model.net));
  for (const char* name : {"stage1.0.conv3.weight", "stage1.0.shortcut.conv.weight",
                           "stage3.5.bn3.bias", "stage4.2.conv2.weight"})
    EXPECT_NE(std::find(all.begin(), all.end(), name), all.end()) << name;
}

TEST(Modes, ReachEveryModule) {
  const Model model = make_model("se_resnet20", {.dropout = 0.5});
  struct Count final : Visitor {
    int training = 0, all = 0;
    void enter(const std::string&, Module& m) override {
      ++all;
      training += m.training ? 1 : 0;
    }
  };
  const auto in_training = [&] {
    Count v;
    v.walk(*model.net);
    return std::pair(v.training, v.all);
  };
  EXPECT_EQ(in_training().first, in_training().second);
  EXPECT_GT(in_training().second, 60);
  set_training(*model.net, false);
  EXPECT_EQ(in_training().first, 0);
  set_training(*model.net, true);
  EXPECT_EQ(in_training().first, in_training().second);
}

TEST(Modes, EvaluationIsRepeatableAndChangesNothing) {
  const Model model = make_model("se_resnet20", {.dropout = 0.5});
  Generator rng(1);
  const Tensor x = Tensor::randn({4, 32, 32, 3}, rng);
  set_training(*model.net, false);
  const Tensor first = (*model.net)(x).value(), second = (*model.net)(x).value();
  ASSERT_EQ(first.shape(), Shape({4, 10}));
  for (std::int64_t i = 0; i < first.numel(); ++i) EXPECT_EQ(first.at(i), second.at(i));
  // An image alone gets the logits it gets in company.
  Tensor one({1, 32, 32, 3});
  std::copy_n(x.data<float>() + 32 * 32 * 3, one.numel(), one.data<float>());
  const Tensor alone = (*model.net)(one).value();
  for (std::int64_t i = 0; i < 10; ++i) EXPECT_NEAR(alone.at(i), first.at(10 + i), 1e-4);
  for (const auto& [name, buffer] : buffers(*model.net)) {
    if (name.ends_with("running_mean")) {
      EXPECT_EQ(buffer->at(0), 0) << name;
    }
  }
}

TEST(Convert, ReachesParametersAndFloatingBuffersOnly) {
  const Model model = make_model("se_resnet20", {.dropout = 0.5});
  convert(*model.net, DType::f64);
  for (const auto& [name, p] : parameters(*model.net))
    EXPECT_EQ(p->value().dtype(), DType::f64) << name;
  for (const auto& [name, b] : buffers(*model.net))
    EXPECT_EQ(b->dtype(), name == "dropout.state" ? DType::i64 : DType::f64) << name;
}

TEST(Visitor, NamesChildrenHeldByPointer) {
  struct Pair final : Module {
    std::vector<std::unique_ptr<Module>> children;
    std::string_view kind() const override { return "Pair"; }
    void visit(Visitor& v) override { v("child", children); }
    Var forward(const Var& x) override { return x; }
  };
  Generator rng(1);
  Pair pair;
  pair.children.push_back(std::make_unique<Linear>(2, 2, rng, false));
  pair.children.push_back(std::make_unique<BatchNorm>(2));
  EXPECT_EQ(names(parameters(pair)),
            (std::vector<std::string>{"child.0.weight", "child.1.weight", "child.1.bias"}));
}

/// One layer at two places.
struct Tied final : Module {
  Linear layer;
  BatchNorm norm{4};
  explicit Tied(Generator& init) : layer(4, 4, init) {}
  std::string_view kind() const override { return "Tied"; }
  void visit(Visitor& v) override {
    v("first", layer);
    v("norm", norm);
    v("second", layer);
    v("again", norm);
  }

 protected:
  Var forward(const Var& x) override { return layer(norm(layer(x))); }
};

TEST(Names, WhatIsSharedHasTheFirst) {
  Generator init(1);
  Tied net(init);
  EXPECT_EQ(names(parameters(net)),
            (std::vector<std::string>{"first.weight", "first.bias", "norm.weight", "norm.bias"}));
  EXPECT_EQ(names(buffers(net)),
            (std::vector<std::string>{"norm.running_mean", "norm.running_var"}));
  EXPECT_EQ(parameter_count(net), 4 * 4 + 4 + 4 + 4);
  freeze(net, {"second"});  // by any of them
  EXPECT_FALSE(net.layer.weight.trainable);
}

}  // namespace
}  // namespace exciton::nn
