#include "08_network.hpp"

#include <gtest/gtest.h>

#include "exciton/nn/summary.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"

using namespace exciton;

namespace {
const nn::SESpec spec{.enabled = true, .reduction = 4};
}

TEST(SmallBlock, names_its_parameters) {
  Generator init(1);
  course::SmallBlock block(8, spec, init);
  std::vector<std::string> names;
  for (const auto& [name, parameter] : nn::parameters(block)) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"conv.weight", "bn.weight", "bn.bias", "se.reduce.weight",
                                      "se.reduce.bias", "se.expand.weight", "se.expand.bias"}));
  EXPECT_EQ(nn::parameter_count(block), 8 * 8 * 9 + 2 * 8 + 2 * 2 * 8 + 2 + 8);
}

TEST(SmallBlock, computes_what_its_comment_says) {
  Generator init(2);
  course::SmallBlock block(8, spec, init);
  nn::set_training(block, false);
  const Var x = Tensor::randn({2, 5, 6, 8}, init);
  const Tensor ours = block(x).value();
  const Tensor theirs = ops::relu(ops::add(block.se(block.bn(block.conv(x))), x)).value();
  ASSERT_EQ(ours.shape(), theirs.shape());
  for (std::int64_t i = 0; i < ours.numel(); ++i) ASSERT_NEAR(ours.at(i), theirs.at(i), 1e-4);
}

TEST(SmallBlock, trains_every_parameter) {
  Generator init(3);
  course::SmallBlock block(8, spec, init);
  Tape tape;
  const Var y = block(Tensor::randn({2, 5, 6, 8}, init));
  tape.backward(y, Tensor::randn(y.shape(), init));
  const auto parameters = nn::parameters(block);
  ASSERT_FALSE(parameters.empty());
  for (const auto& [name, parameter] : parameters) EXPECT_FALSE(parameter->grad.empty()) << name;
}

TEST(Equation5, se_resnet50_of_the_paper) {
  const std::vector<course::Stage> stages{{3, 256}, {4, 512}, {6, 1024}, {3, 2048}};
  EXPECT_EQ(course::extra_weights(stages, 16), 2'514'944);
  EXPECT_EQ(course::extra_weights({stages.begin(), stages.end() - 1}, 16), 942'080);
}

TEST(Equation5, agrees_with_a_network_that_was_built) {
  for (const std::int64_t reduction : {2, 4, 8}) {
    nn::Model model =
        nn::make_model("se_resnet20", {.se = {.reduction = reduction, .bias = false}});
    EXPECT_EQ(course::extra_weights({{3, 16}, {3, 32}, {3, 64}}, reduction),
              nn::summarize(model).se_parameters);
  }
}
