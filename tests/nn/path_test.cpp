// Which way a branch runs, by the one table there is, and that watching costs no path.
#include <fstream>
#include <set>
#include <sstream>

#include "exciton/core/description.hpp"
#include "exciton/nn/branch.hpp"
#include "exciton/nn/gates.hpp"
#include "exciton/nn/recompute.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/ops/add.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

struct Layers {
  Generator init{1};
  Conv2d conv{4, 8, 3, {.padding = 1}, init}, next{8, 8, 3, {.padding = 1}, init};
  BatchNorm bn{8};
  SqueezeExcite se{8, {.reduction = 2}, init};
  Unit unit() { return {conv, bn, &se}; }
  Tensor x = Tensor::randn({2, 5, 6, 4}, init);
};

TEST(Path, EveryOneHasARow) {
  std::set<Path> paths;
  for (const PathRow& row : path_table()) {
    EXPECT_TRUE(paths.insert(row.path).second) << row.name;
    EXPECT_EQ(name_of(row.path), row.name);
    for (const std::string_view text : {row.when, row.runs, row.keeps, row.composed, row.gain})
      EXPECT_FALSE(text.empty()) << row.name;
  }
  // The switch warns when a path is added, the count when its row is missing.
  for (const Path path : {Path::composed, Path::fused, Path::recomputed, Path::folded}) {
    switch (path) {
      case Path::composed:
      case Path::fused:
      case Path::recomputed:
      case Path::folded:
        EXPECT_TRUE(paths.contains(path));
    }
  }
  EXPECT_EQ(paths.size(), 4u);
}

/// docs/architecture.md shows the table as it is.
TEST(Path, TheMapHasTheRows) {
  std::ifstream file(EXCITON_GOLDEN_DIR "/../../docs/architecture.md");
  std::ostringstream text;
  text << file.rdbuf();
  for (const PathRow& row : path_table()) {
    const std::string line = "| `" + std::string(row.name) + "` | " + std::string(row.when) +
                             " | " + std::string(row.runs) + " | " + std::string(row.keeps) +
                             " | " + std::string(row.composed) + " | " + std::string(row.gain) +
                             " |";
    EXPECT_NE(text.str().find(line), std::string::npos) << "expected the line\n" << line;
  }
}

TEST(Path, IsChosenByTheTable) {
  Layers l;
  const Var none;
  EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::fused) << "training without a tape";
  {
    const Tape tape;
    EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::recomputed);
    EXPECT_EQ(path_of(l.unit(), nullptr, l.x, none), Path::fused) << "the last of its branch";
    EXPECT_EQ(path_of(l.bn, l.next), Path::recomputed);
    Conv2d biased(8, 8, 1, {}, l.init, true);
    EXPECT_EQ(path_of(l.unit(), &biased, l.x, none), Path::fused);
  }
  l.bn.training = false;
  EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::folded);
  EXPECT_EQ(path_of(l.unit(), &l.next, l.x.to(DType::f64), none), Path::fused);
  {
    const Tape tape;
    EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::fused) << "gradients at evaluation";
  }
  l.bn.fused = false;
  EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::composed);
  l.bn.fused = l.bn.training = true;
  const HookScope hook(l.se.hook, constant_gates(Tensor::full({8}, 1)));
  EXPECT_EQ(path_of(l.unit(), &l.next, l.x, none), Path::composed) << "gates are replaced";
}

/// Operators with their kernels, in order.
std::vector<std::string> operations(Module& net, const Tensor& x) {
  Description description;
  Tape tape(&description);
  net(x);
  std::vector<std::string> out;
  for (const EntryInfo& e : description.entries())
    out.push_back(std::string(e.op) + (e.kernel.empty() ? "" : ' ' + e.kernel));
  return out;
}

Model three_blocks() { return make_model("se_resnet20", {.classes = 3, .blocks = {1, 1, 1}}, 3); }

TEST(Path, IsToldWithTheKernel) {
  Model model = three_blocks();
  const auto ran = operations(*model.net, Tensor::zeros({2, 8, 8, 3}));
  EXPECT_EQ(std::count(ran.begin(), ran.end(), "residual_tail fused"), 1 + 3) << "stem, blocks";
  EXPECT_EQ(std::count_if(ran.begin(), ran.end(),
                          [](const std::string& op) {
                            return op.starts_with("norm_relu_conv recomputed, ");
                          }),
            3);
  for (const std::string& op : ran) EXPECT_NE(op, "conv2d") << "a convolution names its kernel";
  set_training(*model.net, false);
  convert(*model.net, DType::f64);
  const auto plain = operations(*model.net, Tensor::zeros({2, 8, 8, 3}, DType::f64));
  EXPECT_GT(std::count(plain.begin(), plain.end(), "conv2d plain"), 0);
}

TEST(Path, WatchingKeepsItAndReplacingLeavesIt) {
  for (const bool training : {true, false}) {
    Model model = three_blocks();
    set_training(*model.net, training);
    Generator rng(4);
    const Tensor x = Tensor::randn({2, 8, 8, 3}, rng);
    const Tensor before = (*model.net)(x).value();
    const auto as_it_is = operations(*model.net, x);
    {
      const GateRecorder recorder(*model.net);
      EXPECT_EQ(operations(*model.net, x), as_it_is);
      if (training) continue;  // the running statistics have moved
      const Tensor watched = (*model.net)(x).value();
      for (std::int64_t i = 0; i < before.numel(); ++i) EXPECT_EQ(before.at(i), watched.at(i));
      for (std::size_t i = 0; i < recorder.units().size(); ++i)
        EXPECT_EQ(recorder.gates(i).dim(0), 2);
    }
    const HookScope hook(attention_units(*model.net)[0].unit->hook, [](const Var& s) { return s; });
    EXPECT_NE(operations(*model.net, x), as_it_is);
  }
}

TEST(Path, WatchesAndHooksStack) {
  Model model = three_blocks();
  set_training(*model.net, false);
  SqueezeExcite& unit = dynamic_cast<SqueezeExcite&>(*attention_units(*model.net)[0].unit);
  std::vector<int> order;
  const WatchScope first(unit.watch, [&](const Tensor&) { order.push_back(1); });
  {
    const WatchScope second(unit.watch, [&](const Tensor& s) {
      order.push_back(2);
      EXPECT_EQ(s.at(0), 0.25) << "a watch sees what goes on";
    });
    const HookScope hook(unit.hook, constant_gates(Tensor::full({16}, 0.25)));
    (*model.net)(Tensor::zeros({1, 8, 8, 3}));
  }
  (*model.net)(Tensor::zeros({1, 8, 8, 3}));
  EXPECT_EQ(order, (std::vector{1, 2, 1}));
}

TEST(Path, HooksAndWatchesEndInAnyOrder) {
  Model model = three_blocks();
  set_training(*model.net, false);
  SqueezeExcite& unit = dynamic_cast<SqueezeExcite&>(*attention_units(*model.net)[0].unit);
  std::vector<int> order;
  const auto run = [&] {
    order.clear();
    (*model.net)(Tensor::zeros({1, 8, 8, 3}));
    return order;
  };
  const auto watch = [&](int number) {
    return std::make_unique<WatchScope>(
        unit.watch, [&order, number](const Tensor&) { order.push_back(number); });
  };
  const auto hook = [&](int number) {
    return std::make_unique<HookScope>(unit.hook, [&order, number](const Var& s) {
      order.push_back(number);
      return s;
    });
  };
  auto watch1 = watch(1), watch2 = watch(2), watch3 = watch(3);
  auto hook1 = hook(-1), hook2 = hook(-2), hook3 = hook(-3);
  EXPECT_EQ(run(), (std::vector{-1, -2, -3, 1, 2, 3}));
  watch2.reset();
  hook1.reset();
  EXPECT_EQ(run(), (std::vector{-2, -3, 1, 3}));
  watch3.reset();
  hook3.reset();
  EXPECT_EQ(run(), (std::vector{-2, 1}));
  watch1.reset();
  hook2.reset();
  EXPECT_EQ(run(), std::vector<int>());
  EXPECT_FALSE(unit.watch);
  EXPECT_FALSE(unit.hook);
}

struct EveryModule final : Visitor {
  std::vector<Module*> found;
  void enter(const std::string&, Module& m) override { found.push_back(&m); }
};

TEST(Path, AForwardHookSeesEveryLayer) {
  for (const bool training : {true, false}) {
    Model model = three_blocks();
    set_training(*model.net, training);
    Generator rng(4);
    const Tensor x = Tensor::randn({2, 8, 8, 3}, rng);
    const Tensor before = (*model.net)(x).value();
    const auto expect = [&](const Var& got, double factor) {
      if (training) return;  // the running statistics have moved
      for (std::int64_t i = 0; i < before.numel(); ++i)
        EXPECT_NEAR(got.value().at(i), factor * before.at(i), 1e-4);
    };
    EveryModule modules;
    modules.walk(*model.net);
    for (Module* layer : modules.found) {
      int calls = 0;
      layer->forward_hook = [&](const Var&, const Var& y) {
        ++calls;
        return y;
      };
      const Tape tape;
      expect((*model.net)(x), 1);
      EXPECT_EQ(calls, 1) << layer->kind();
      layer->forward_hook = nullptr;
    }
    model.net->forward_hook = [](const Var&, const Var& y) { return ops::add(y, y); };
    expect((*model.net)(x), 2);
  }
}

/// How often a training step of it computes a map between two convolutions again.
std::int64_t recomputed(const char* name, std::int64_t side) {
  Model model = make_model(name, {.classes = 3, .image_size = side}, 3);
  const auto ran = operations(*model.net, Tensor::zeros({2, side, side, 3}));
  return std::count_if(ran.begin(), ran.end(),
                       [](const std::string& op) { return op.starts_with("norm_relu_conv"); });
}

TEST(Path, BranchesOfEveryKindKeepHalfOfTheirMaps) {
  EXPECT_EQ(recomputed("se_resnet20", 8), 9);
  EXPECT_EQ(recomputed("preresnet20", 8), 9 + 7) << "two per block, one where it projects";
  EXPECT_EQ(recomputed("se_shufflenet", 32), 16);
  EXPECT_EQ(recomputed("shake_shake26_2x32d", 8), 24);
  EXPECT_EQ(recomputed("se_mobilenet", 32), 0) << "units by themselves";
}

TEST(Recompute, BlockIsRefusedWhereThereAreNone) {
  for (const char* name : {"vgg16_bn", "se_mobilenet"}) {
    Model model = make_model(name, {.classes = 3, .image_size = 32}, 3);
    try {
      set_recompute(*model.net, Recompute::block);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_NE(what.find("recompute: block: "), std::string::npos) << what;
      EXPECT_NE(what.find(model.net->kind()), std::string::npos) << what;
      EXPECT_EQ(model.net->recompute, Recompute::none);
    }
    EXPECT_NO_THROW(set_recompute(*model.net, Recompute::none));
  }
  Model inception = make_model("bn_inception", {.classes = 3}, 3);
  EXPECT_NO_THROW(set_recompute(*inception.net, Recompute::block));
}

}  // namespace
}  // namespace exciton::nn
