/// Seeing gates and replacing them, against what the single operators say.
#include "exciton/nn/gates.hpp"
#include "exciton/nn/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "exciton/nn/branch.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/se/residual_tail.hpp"

namespace exciton::nn {
namespace {

Model network_of(const SESpec& se, const std::string& name = "se_resnet20") {
  ModelOptions options;
  options.se = se;
  options.blocks = {1, 2, 1};
  Model model = make_model(name, options, 3);
  // Fresh statistics are 0 and 1: give batch norm something to do.
  Generator rng(5);
  for (const auto& [buffer, tensor] : buffers(*model.net))
    if (buffer.ends_with("running_var"))
      for (float& v : tensor->span<float>()) v = static_cast<float>(rng.uniform(0.5, 2));
    else if (buffer.ends_with("running_mean"))
      for (float& v : tensor->span<float>()) v = static_cast<float>(rng.normal() * 0.1);
  set_training(*model.net, false);
  return model;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i)
    largest = std::max(largest, std::abs(a.at(i) - b.at(i)));
  return largest;
}

Tensor images(std::int64_t n = 3) {
  Generator rng(11);
  return Tensor::randn({n, 16, 16, 3}, rng);
}

TEST(Gates, UnitsComeInTheOrderOfTheForwardPass) {
  Model model = network_of({.reduction = 4});
  std::vector<std::string> names;
  for (const NamedAttention& unit : attention_units(*model.net)) names.push_back(unit.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"stage1.0.se", "stage2.0.se", "stage2.1.se", "stage3.0.se"}));
}

TEST(Gates, LookingChangesNothingAndSeesWhatTheTapeSaw) {
  for (const std::string& kind : attention_registry().names()) {
    Model model = network_of({.reduction = 4, .kind = kind});
    const Tensor x = images();
    const Tensor fused = (*model.net)(x).value();
    set_fused(*model.net, false);
    const Tensor plain = (*model.net)(x).value();
    set_fused(*model.net, true);
    const GateRecorder recorder(*model.net);
    const Tensor watched = (*model.net)(x).value();
    EXPECT_EQ(largest_difference(fused, watched), 0) << kind;
    EXPECT_LT(largest_difference(plain, watched), 1e-4) << kind;
    for (std::size_t i = 0; i < recorder.units().size(); ++i) {
      const Tensor s = recorder.gates(i);
      EXPECT_EQ(s.dim(0), 3);
      for (const float v : s.span<float>()) EXPECT_TRUE(v >= 0 && v <= 1) << kind << ' ' << v;
    }
  }
}

/// The fused operator's own gates, read from what it saves, are those that a hook and a watch see.
TEST(Gates, FusedAndComposedGatesAreTheSame) {
  Generator init(1);
  BatchNorm bn(8);
  SqueezeExcite se(8, {.reduction = 2}, init);
  bn.training = false;
  const Tensor y = Tensor::randn({4, 5, 7, 8}, init), shortcut = Tensor::randn(y.shape(), init);
  ops::ResidualTail op{.norm = bn.spec(), .relu = true};
  ops::ResidualTail::Saved saved;
  op.forward(saved, y, bn.weight.value(), bn.bias.value(), shortcut, se.reduce_weight.value(),
             se.reduce_bias.value(), se.expand_weight.value(), se.expand_bias.value());
  Tensor seen;
  const HookScope look(se.hook, [&](const Var& s) {
    seen = s.value();
    return s;
  });
  Conv2d identity(8, 8, 1, {}, init);
  for (std::int64_t i = 0; i < 64; ++i) identity.weight.mutable_value().set(i, i % 9 == 0 ? 1 : 0);
  run_unit({identity, bn, &se}, y, shortcut);
  ASSERT_EQ(seen.shape(), (Shape{4, 8}));
  EXPECT_LT(largest_difference(saved.gates, seen), 1e-5);
}

TEST(Gates, OnesAreAsIfTheUnitWereNotThere) {
  Model model = network_of({.reduction = 4});
  // A plain network with the same weights elsewhere.
  ModelOptions options = model.options;
  options.se.enabled = false;
  Model plain = make_model("resnet20", options, 3);
  set_training(*plain.net, false);
  const auto from = parameters(*model.net);
  for (const auto& [name, p] : parameters(*plain.net))
    for (const auto& [other, q] : from)
      if (name == other) p->mutable_value().copy_from(q->value());
  const auto statistics = buffers(*model.net);
  for (const auto& [name, t] : buffers(*plain.net))
    for (const auto& [other, u] : statistics)
      if (name == other) t->copy_from(*u);
  std::vector<std::unique_ptr<HookScope>> hooks;
  for (const NamedAttention& unit : attention_units(*model.net)) {
    const Tensor gates = unit.unit
                             ->gates(Tensor::zeros({1, 1, 1,
                                                    unit.name[5] == '1'   ? 16
                                                    : unit.name[5] == '2' ? 32
                                                                          : 64}))
                             .value();
    hooks.push_back(std::make_unique<HookScope>(unit.unit->hook,
                                                constant_gates(Tensor::full({gates.dim(1)}, 1))));
  }
  const Tensor x = images();
  EXPECT_LT(largest_difference((*plain.net)(x).value(), (*model.net)(x).value()), 1e-4);
}

TEST(Gates, ReplacingByTheirOwnMeanOfOneImageChangesNothingForIt) {
  Model model = network_of({.reduction = 4});
  const Tensor x = images(1);
  const auto units = attention_units(*model.net);
  Tensor own;
  {
    const GateRecorder recorder(*model.net);
    (*model.net)(x);
    own = recorder.gates(1).reshape({32});
  }
  const Tensor before = (*model.net)(x).value();
  {
    const HookScope same(units[1].unit->hook, constant_gates(own));
    EXPECT_LT(largest_difference(before, (*model.net)(x).value()), 1e-4);
  }
  {
    const HookScope none(units[1].unit->hook, constant_gates(Tensor::full({32}, 0)));
    EXPECT_GT(largest_difference(before, (*model.net)(x).value()), 1e-3);
  }
  EXPECT_EQ(largest_difference(before, (*model.net)(x).value()), 0)
      << "the hook outlived its scope";
}

TEST(Gates, MaskSwitchesChannelsOff) {
  Generator init(2);
  SqueezeExcite se(4, {.reduction = 2}, init);
  const Tensor x = Tensor::rand({2, 3, 3, 4}, init, 0.5, 1);
  const Tensor before = se(x).value();
  const HookScope mask(se.hook, masked_gates(Tensor::from({4}, {1, 0, 1, 0})));
  const Tensor after = se(x).value();
  for (std::int64_t i = 0; i < x.numel(); ++i) EXPECT_EQ(after.at(i), i % 2 ? 0 : before.at(i));
  const HookScope bad(se.hook, constant_gates(Tensor::full({5}, 1)));
  EXPECT_THROW(se(x), Error);
}

TEST(Gates, WithoutASqueezeTheMeanOverPixelsIsKept) {
  Model model = network_of({.reduction = 4, .squeeze = "none"});
  const GateRecorder recorder(*model.net);
  EXPECT_THROW(recorder.gates(0), Error);
  (*model.net)(images());
  EXPECT_EQ(recorder.gates(3).shape(), (Shape{3, 64}));
}

TEST(Gates, TapsOfOneUnitFollowEachOther) {
  Generator init(2);
  SqueezeExcite se(2, {.reduction = 1}, init);
  const HookScope half(se.hook, constant_gates(Tensor::full({2}, 0.5)));
  Tensor seen;
  const HookScope look(se.hook, [&](const Var& s) {
    seen = s.value();
    return s;
  });
  se(Tensor::full({1, 1, 1, 2}, 3));
  EXPECT_EQ(seen.at(0), 0.5);
}

TEST(Gates, TheMapBeforeThePoolIsSeenToo) {
  Model model = network_of({.reduction = 4});
  struct FindPool final : Visitor {
    GlobalAvgPool* pool = nullptr;
    void enter(const std::string&, Module& m) override {
      if (auto* p = dynamic_cast<GlobalAvgPool*>(&m)) pool = p;
    }
  } find;
  find.walk(*model.net);
  ASSERT_NE(find.pool, nullptr);
  Tape tape;
  Var map;
  const HookScope cut(find.pool->hook, [&](const Var& x) { return map = tape.watch(x.value()); });
  const Var logits = (*model.net)(images());
  Tensor one = Tensor::zeros(logits.shape());
  one.set(0, 1);
  tape.backward(logits, one);
  const Tensor& g = tape.gradient(map);
  ASSERT_EQ(g.shape(), (Shape{3, 4, 4, 64}));
  // The classifier's row over the pixels.
  for (const auto& [name, p] : parameters(*model.net)) {
    if (name != "fc.weight") continue;
    for (std::int64_t c = 0; c < 64; ++c) EXPECT_NEAR(g.at(c), p->value().at(c) / 16, 1e-6);
  }
}

}  // namespace
}  // namespace exciton::nn
