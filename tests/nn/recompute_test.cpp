// Forgetting feature maps must change the memory of a training step and nothing else.
#include "exciton/nn/recompute.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/nn/registry.hpp"
#include "tests/nn/support.hpp"

namespace exciton::nn {
namespace {

struct Case {
  std::string name, model;
  ModelOptions options;
};

std::vector<Case> cases() {
  const auto options = [](std::string placement, std::string squeeze,
                          std::vector<std::int64_t> blocks) {
    ModelOptions o{.classes = 5, .image_size = 8};
    o.se.reduction = 4;
    o.se.placement = std::move(placement);
    o.se.squeeze = std::move(squeeze);
    o.blocks = std::move(blocks);
    return o;
  };
  std::vector<Case> all;
  for (const char* placement : {"standard", "pre", "post", "identity", "conv3x3"})
    all.push_back(
        {std::string("basic_") + placement, "se_resnet20", options(placement, "avg", {1, 2, 1})});
  all.push_back({"basic_max", "se_resnet20", options("standard", "max", {1, 1, 1})});
  all.push_back({"basic_none", "se_resnet20", options("conv3x3", "none", {1, 1, 1})});
  all.push_back({"plain", "resnet20", options("standard", "avg", {1, 1, 1})});
  all.push_back({"bottleneck", "se_resnet50", options("conv3x3", "avg", {1, 1, 1, 1})});
  all.back().options.image_size = 40;
  all.push_back({"preact", "se_preresnet110", options("standard", "avg", {1, 1, 1})});
  return all;
}

/// Losses, gradients and buffers of two training steps in double.
struct Outcome {
  std::vector<Tensor> values;
  std::size_t peak = 0;
};

Outcome train(const Case& c, Recompute recompute) {
  Model model = make_model(c.model, c.options, 3);
  convert(*model.net, DType::f64);
  set_recompute(*model.net, recompute);
  Generator rng(5);
  Outcome out;
  for (int step = 0; step < 2; ++step) {
    const std::int64_t side = c.options.image_size;
    const Tensor x = Tensor::randn({2, side, side, 3}, rng, DType::f64);
    const Tensor labels = random_labels(2, 5, rng);
    Tape tape;
    const Var loss = ops::cross_entropy((*model.net)(x), labels);
    out.values.push_back(loss.value());
    tape.backward(loss);
  }
  for (const auto& [name, p] : parameters(*model.net)) {
    EXPECT_FALSE(p->grad.empty()) << name;
    out.values.push_back(p->grad);
  }
  for (const auto& [name, t] : buffers(*model.net)) out.values.push_back(*t);
  return out;
}

class Forgetting : public testing::TestWithParam<Case> {};

TEST_P(Forgetting, ChangesNoGradientAndNoBuffer) {
  const Outcome all = train(GetParam(), Recompute::none);
  for (const Recompute recompute : {Recompute::block}) {
    const Outcome some = train(GetParam(), recompute);
    ASSERT_EQ(all.values.size(), some.values.size());
    for (std::size_t i = 0; i < all.values.size(); ++i)
      for (std::int64_t k = 0; k < all.values[i].numel(); ++k)
        ASSERT_NEAR(all.values[i].at(k), some.values[i].at(k),
                    1e-9 * std::max(1.0, std::abs(all.values[i].at(k))))
            << "value " << i << " element " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Forgetting, testing::ValuesIn(cases()),
                         [](const auto& c) { return c.param.name; });

TEST(Forgetting, DrawsTheSameRandomNumbersAgain) {
  const auto run = [](Recompute recompute) {
    Model model = make_model("se_shake_shake26_2x96d", {.classes = 3, .blocks = {1, 1, 1}}, 3);
    set_recompute(*model.net, recompute);
    Generator rng(5);
    const Tensor x = Tensor::randn({2, 8, 8, 3}, rng);
    std::vector<Tensor> out;
    {
      Tape tape;
      const Var y = (*model.net)(x);
      out.push_back(y.value());
      tape.backward(y, Tensor::randn(y.shape(), rng));
    }
    for (const auto& [name, p] : parameters(*model.net)) out.push_back(p->grad);
    for (const auto& [name, t] : buffers(*model.net)) out.push_back(*t);
    return out;
  };
  const auto all = run(Recompute::none), some = run(Recompute::block);
  ASSERT_EQ(all.size(), some.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::int64_t k = 0; k < all[i].numel(); ++k)
      ASSERT_NEAR(all[i].at(k), some[i].at(k), 1e-4 * std::max(1.0, std::abs(all[i].at(k))));
}

TEST(Forgetting, SavesMemory) {
  const auto peak = [](Recompute recompute) {
    Model model = make_model("se_resnet20", {.classes = 5}, 3);
    set_recompute(*model.net, recompute);
    const Tensor x = Tensor::zeros({16, 32, 32, 3});
    reset_peak_memory();
    const std::size_t before = memory_stats().bytes_in_use;
    Tape tape;
    const Var y = (*model.net)(x);
    tape.backward(y, Tensor::zeros(y.shape()));
    return memory_stats().peak_bytes_in_use - before;
  };
  const auto all = static_cast<double>(peak(Recompute::none));
  EXPECT_LT(static_cast<double>(peak(Recompute::block)), 0.75 * all);
}

TEST(Forgetting, KnowsItsWords) {
  EXPECT_EQ(recompute_names.parse("none"), Recompute::none);
  EXPECT_EQ(recompute_names.parse("tail"), Recompute::none) << "of older recipes";
  EXPECT_EQ(recompute_names.parse("block"), Recompute::block);
  EXPECT_THROW(recompute_names.parse("all"), Error);
}

}  // namespace
}  // namespace exciton::nn
