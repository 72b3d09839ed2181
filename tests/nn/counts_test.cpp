// Exact parameter counts: the paper's architectures, counted independently of this program.
#include <gtest/gtest.h>

#include "nn/registry.hpp"

namespace exciton::nn {
namespace {

std::int64_t count(const std::string& name, const ModelOptions& options = {}) {
  const Model model = make_model(name, options);
  return parameter_count(*model.net);
}

struct Published {
  std::string name;  // without se_
  std::int64_t plain, se_without_bias, se;
};

class Counts : public testing::TestWithParam<Published> {};

const Published small[] = {{"resnet20", 272'474, 274'490, 274'847},
                           {"resnet32", 466'906, 470'266, 470'861},
                           {"resnet44", 661'338, 666'042, 666'875},
                           {"resnet56", 855'770, 861'818, 862'889},
                           {"resnet110", 1'730'714, 1'742'810, 1'744'952},
                           {"resnet18", 11'689'512, 11'776'552, 11'778'592}};
const Published large[] = {{"resnet34", 21'797'672, 21'954'856, 21'958'868},
                           {"resnet50", 25'557'032, 28'071'976, 28'088'024},
                           {"resnet101", 44'549'160, 49'292'328, 49'326'872},
                           {"resnet152", 60'192'808, 66'770'984, 66'821'848}};

TEST_P(Counts, AsBuilt) {
  const Published& p = GetParam();
  EXPECT_EQ(count(p.name), p.plain);
  EXPECT_EQ(count("se_" + p.name, {.se = {.bias = false}}), p.se_without_bias);
  EXPECT_EQ(count("se_" + p.name), p.se);
}

INSTANTIATE_TEST_SUITE_P(Networks, Counts, testing::ValuesIn(small),
                         [](const auto& network) { return network.param.name; });

// Large SE networks are built once; the others are they without their SE parameters, and without
// the biases of those.
class LargeCounts : public Counts {};

TEST_P(LargeCounts, AsPublished) {
  const Published& p = GetParam();
  const Model model = make_model("se_" + p.name);
  std::int64_t plain = 0, without_bias = 0;
  for (const auto& [name, parameter] : parameters(*model.net)) {
    const bool se = name.find(".se.") != std::string::npos;
    plain += se ? 0 : parameter->numel();
    without_bias += se && name.ends_with(".bias") ? 0 : parameter->numel();
  }
  EXPECT_EQ(plain, p.plain);
  EXPECT_EQ(without_bias, p.se_without_bias);
  EXPECT_EQ(parameter_count(*model.net), p.se);
}

INSTANTIATE_TEST_SUITE_P(Networks, LargeCounts, testing::ValuesIn(large),
                         [](const auto& network) { return network.param.name; });

TEST(Counts, ReductionRatiosOfTable10) {
  const std::pair<std::int64_t, std::int64_t> table[] = {
      {2, 45'676'584}, {4, 35'616'808}, {8, 30'586'920}, {16, 28'071'976}, {32, 26'814'504}};
  for (const auto& [reduction, parameters] : table)
    EXPECT_EQ(count("se_resnet50", {.se = {.reduction = reduction, .bias = false}}), parameters)
        << "reduction " << reduction;
}

TEST(Counts, OptionsThatChangeThem) {
  EXPECT_EQ(count("resnet20", {.shortcut = "zero_pad"}), 269'722);
  EXPECT_EQ(count("se_resnet20", {.classes = 100}), 280'697);
  EXPECT_EQ(count("resnet20", {.image_channels = 1}), 272'474 - 2 * 9 * 16);
  EXPECT_EQ(count("resnet18", {.stem = "3x3"}), 11'689'512 - 3 * 64 * (49 - 9));
  // Hidden units 8, 8, 8 instead of 1, 2, 4: (2 C + 1) more parameters for each, 3 blocks a stage.
  EXPECT_EQ(count("se_resnet20", {.se = {.min_width = 8}}),
            274'847 + 3 * (7 * 33 + 6 * 65 + 4 * 129));
}

TEST(Counts, OptionsThatDoNot) {
  EXPECT_EQ(count("resnet50", {.stride_on = "3x3"}), 25'557'032);
  EXPECT_EQ(count("se_resnet20", {.se = {.squeeze = "max", .gate = "tanh"}}), 274'847);
  EXPECT_EQ(count("resnet20", {.dropout = 0.2}), 272'474);
}

}  // namespace
}  // namespace exciton::nn
