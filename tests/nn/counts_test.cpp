// Exact parameter counts and multiply-adds: the paper's architectures, counted independently of
// this program. [O] marks the counts of imgclsmob (pytorch/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "exciton/nn/layers.hpp"
#include "exciton/nn/registry.hpp"
#include "exciton/nn/summary.hpp"

namespace exciton::nn {
namespace {

std::int64_t count(const std::string& name, const ModelOptions& options = {}) {
  const SkipInitialization shapes_alone;
  const Model model = make_model(name, options);
  return parameter_count(*model.net);
}

struct Published {
  std::string name;  // without se_
  std::int64_t plain, se_without_bias, se;
};

std::string name_of(const testing::TestParamInfo<Published>& network) { return network.param.name; }

class Counts : public testing::TestWithParam<Published> {};

const Published of_cifar[] = {{"resnet20", 272'474, 274'490, 274'847},
                              {"resnet32", 466'906, 470'266, 470'861},
                              {"resnet44", 661'338, 666'042, 666'875},
                              {"resnet56", 855'770, 861'818, 862'889},
                              {"resnet110", 1'730'714, 1'742'810, 1'744'952},
                              {"resnet164", 1'704'154, 1'897'690, 1'906'258},
                              {"preresnet110", 1'730'522, 1'742'618, 1'744'760},
                              {"preresnet164", 1'703'258, 1'896'794, 1'905'362},
                              {"wrn16_8", 10'961'370, 11'047'386, 11'049'290},
                              {"resnet18", 11'689'512, 11'776'552, 11'778'592}};
const Published large[] = {{"resnet34", 21'797'672, 21'954'856, 21'958'868},
                           {"resnet50", 25'557'032, 28'071'976, 28'088'024},
                           {"resnet101", 44'549'160, 49'292'328, 49'326'872},
                           {"resnet152", 60'192'808, 66'770'984, 66'821'848},
                           {"resnext50_32x4d", 25'028'904, 27'543'848, 27'559'896},
                           {"resnext101_32x4d", 44'177'704, 48'920'872, 48'955'416}};

TEST_P(Counts, AsBuilt) {
  const Published& p = GetParam();
  EXPECT_EQ(count(p.name), p.plain);
  EXPECT_EQ(count("se_" + p.name, {.se = {.bias = false}}), p.se_without_bias);
  EXPECT_EQ(count("se_" + p.name), p.se);
}

INSTANTIATE_TEST_SUITE_P(Networks, Counts, testing::ValuesIn(of_cifar), name_of);

// Large SE networks are built once; the others are they without their SE parameters, and without
// the biases of those.
struct Parts {
  std::int64_t plain = 0, se_weights = 0, se_biases = 0;
  std::map<std::int64_t, int> units;  // SE units of so many channels
};

Parts parts_of(const std::string& name, const ModelOptions& options = {}) {
  const SkipInitialization shapes_alone;
  const Model model = make_model(name, options);
  Parts parts;
  for (const auto& [parameter, p] : parameters(*model.net)) {
    const bool se = parameter.find(".se.") != std::string::npos;
    (!se                            ? parts.plain
     : parameter.ends_with(".bias") ? parts.se_biases
                                    : parts.se_weights) += p->numel();
    if (parameter.ends_with(".se.expand.weight")) ++parts.units[p->shape()[0]];
  }
  return parts;
}

/// Equation 5 of the paper: 2 / r times the sum over stages of N C^2.
std::int64_t equation_5(const Parts& parts, std::int64_t reduction) {
  std::int64_t sum = 0;
  for (const auto& [channels, blocks] : parts.units) sum += blocks * channels * channels;
  return 2 * sum / reduction;
}

class LargeCounts : public Counts {};

TEST_P(LargeCounts, AsPublished) {
  const Published& p = GetParam();
  const Parts parts = parts_of("se_" + p.name);
  EXPECT_EQ(parts.plain, p.plain);
  EXPECT_EQ(parts.plain + parts.se_weights, p.se_without_bias);
  EXPECT_EQ(parts.plain + parts.se_weights + parts.se_biases, p.se);
  EXPECT_EQ(parts.se_weights, equation_5(parts, 16));
}

INSTANTIATE_TEST_SUITE_P(Networks, LargeCounts, testing::ValuesIn(large), name_of);

TEST(Counts, SENet154) {
  const Parts parts = parts_of("senet154");
  EXPECT_EQ(parts.plain + parts.se_weights, 115'038'120);
  EXPECT_EQ(parts.plain + parts.se_weights + parts.se_biases, 115'088'984);
  EXPECT_EQ(parts.se_weights, equation_5(parts, 16));
}

TEST(Counts, Equation5OfSEResNet50) {
  const Parts parts = parts_of("se_resnet50");
  EXPECT_EQ(parts.units, (std::map<std::int64_t, int>{{256, 3}, {512, 4}, {1024, 6}, {2048, 3}}));
  EXPECT_EQ(equation_5(parts, 16), 2'514'944);
  // "~4 %" of ResNet-50 without the last stage.
  const Parts early = parts_of("se_resnet50", {.se = {.stages = {2, 3, 4}}});
  EXPECT_EQ(early.se_weights, 942'080);
}

TEST(Counts, ReductionRatiosOfTable10) {
  const std::pair<std::int64_t, std::int64_t> table[] = {
      {2, 45'676'584}, {4, 35'616'808}, {8, 30'586'920}, {16, 28'071'976}, {32, 26'814'504}};
  for (const auto& [reduction, parameters] : table)
    EXPECT_EQ(count("se_resnet50", {.se = {.reduction = reduction, .bias = false}}), parameters)
        << "reduction " << reduction;
}

TEST(Counts, StagesOfTable13) {
  const std::pair<std::int64_t, std::int64_t> table[] = {
      {2, 24'576}, {3, 131'072}, {4, 786'432}, {5, 1'572'864}};
  for (const auto& [stage, weights] : table) {
    const Parts parts = parts_of("se_resnet50", {.se = {.bias = false, .stages = {stage}}});
    EXPECT_EQ(parts.plain, 25'557'032);
    EXPECT_EQ(parts.se_weights, weights) << "stage " << stage;
    EXPECT_EQ(parts.units.size(), 1u);
  }
}

TEST(Counts, PlacementsOfTables14And15) {
  const auto with = [](const char* placement) {
    return count("se_resnet50", {.se = {.bias = false, .placement = placement}});
  };
  EXPECT_EQ(with("post"), 28'071'976);
  EXPECT_EQ(with("identity"), 28'071'976);
  EXPECT_EQ(with("conv3x3"), 25'714'216);
  // Before the unit the first block of each stage sees the channels of the stage before.
  const std::int64_t less = (256 * 256 - 64 * 64) + (512 * 512 - 256 * 256) +
                            (1024 * 1024 - 512 * 512) + (2048 * 2048 - 1024 * 1024);
  EXPECT_EQ(with("pre"), 28'071'976 - 2 * less / 16);
}

TEST(Counts, NoSqueezeOfTable16) {
  const SkipInitialization shapes_alone;
  Model model = make_model("se_resnet50", {.se = {.bias = false, .squeeze = "none"}});
  const Summary s = summarize(model);
  EXPECT_EQ(s.parameters, 28'071'976);
  EXPECT_EQ(s.se_parameters, 2'514'944);
  // 4.27 G in the paper: every pixel goes through the two layers.
  const std::int64_t per_pixel[] = {2 * 256 * 16 * 3, 2 * 512 * 32 * 4, 2 * 1024 * 64 * 6,
                                    2 * 2048 * 128 * 3};
  EXPECT_EQ(s.se_multiply_adds,
            3136 * per_pixel[0] + 784 * per_pixel[1] + 196 * per_pixel[2] + 49 * per_pixel[3]);
  EXPECT_EQ(std::lround(static_cast<double>(s.multiply_adds) / 1e7), 427);
}

// Gastaldi 2017 gives millions: 26 2x32d 2.9, 26 2x96d 26.2, 29 2x4x64d 34.4 (ours with 10 outputs;
// 34.5 with 100).
TEST(Counts, ShakeShake) {
  EXPECT_EQ(count("shake_shake26_2x32d"), 2'923'162);  // [O]
  EXPECT_EQ(count("shake_shake26_2x32d", {.classes = 100}), 2'934'772);
  const auto million = [](std::int64_t n) { return std::round(static_cast<double>(n) / 1e5) / 10; };
  EXPECT_DOUBLE_EQ(million(count("shake_shake26_2x96d")), 26.2);
  EXPECT_DOUBLE_EQ(million(count("shake_even29_2x4x64d")), 34.4);
  // One unit a block: 2 C h + C + h with h = C / 16.
  const auto unit = [](std::int64_t c) { return 2 * c * (c / 16) + c + c / 16; };
  EXPECT_EQ(count("se_shake_shake26_2x96d") - count("shake_shake26_2x96d"),
            4 * (unit(96) + unit(192) + unit(384)));
  // Inside the branches there are two.
  EXPECT_EQ(count("se_shake_shake26_2x96d", {.se = {.placement = "conv3x3"}}) -
                count("shake_shake26_2x96d"),
            8 * (unit(96) + unit(192) + unit(384)));
}

TEST(Counts, OptionsThatChangeThem) {
  EXPECT_EQ(count("resnet20", {.shortcut = "zero_pad"}), 269'722);
  EXPECT_EQ(count("se_resnet20", {.classes = 100}), 280'697);
  for (const auto& [name, width] :
       {std::pair{"preresnet110", 64}, {"preresnet164", 256}, {"wrn16_8", 512}})
    EXPECT_EQ(count(name, {.classes = 100}) - count(name), 90 * (width + 1)) << name;
  EXPECT_EQ(count("resnet20", {.image_channels = 1}), 272'474 - 2 * 9 * 16);
  EXPECT_EQ(count("resnet18", {.stem = "3x3"}), 11'689'512 - 3 * 64 * (49 - 9));
  // Hidden units 8, 8, 8 instead of 1, 2, 4: (2 C + 1) more parameters for each, 3 blocks per
  // stage.
  EXPECT_EQ(count("se_resnet20", {.se = {.min_width = 8}}),
            274'847 + 3 * (7 * 33 + 6 * 65 + 4 * 129));
  // Any depth and width, and any number of blocks. Zagoruyko and Komodakis: WRN-28-10 has 36.5 M.
  EXPECT_EQ(count("wrn28_10"), 36'479'194);
  EXPECT_EQ(count("resnet20", {.blocks = {9, 9, 9}}), count("resnet56"));
  EXPECT_EQ(count("wrn16_8", {.blocks = {1, 1, 1}}), count("wrn10_8"));
}

TEST(Counts, OptionsThatDoNot) {
  EXPECT_EQ(count("resnet50", {.stride_on = "3x3"}), 25'557'032);
  EXPECT_EQ(count("se_resnet20", {.se = {.squeeze = "max", .gate = "tanh"}}), 274'847);
  EXPECT_EQ(count("resnet20", {.dropout = 0.2}), 272'474);
}

// Multiply-adds. Ours are those of convolutions and matrix products. The paper's "GFLOPs" are up to
// 0.4 % more (it does not say what else it counts), so they are held to 0.5 %. [O]'s README prints
// half of its operations, of which batch norm has 4 and ReLU 1 an element, a window of a pool 1 a
// pixel, and a convolution 2 multiply-adds less one an input-output pair; from ours follow its
// numbers to the digit. Three of them were counted without the squeezes.

struct Work {
  const char* name;
  const char* stride_on;
  double billions;   // as the paper prints; 0: not printed
  double imgclsmob;  // millions; 0: not printed
  bool squeezes = true;
};

/// Half of the operations that [O] counts.
double as_imgclsmob(Model& model, const Summary& s, bool squeezes) {
  std::map<std::string, Shape> weights;
  for (const auto& [name, p] : parameters(*model.net)) weights[name] = p->shape();
  double halves = 0;
  Shape before;
  for (const SummaryRow& row : s.rows) {
    const auto out = static_cast<double>(row.output.numel());
    const auto work = static_cast<double>(row.multiply_adds);
    if (row.kind == "conv2d") {
      const Shape& w = weights.at(row.name + ".weight");
      halves += 2 * work - static_cast<double>(w[0] * w[1]);
    } else if (row.kind == "batch_norm") {
      halves += 4 * out;
    } else if (row.kind == "relu") {
      halves += out;
    } else if (row.kind == "max_pool") {
      halves += 9 * out;
    } else if ((row.kind == "squeeze" && squeezes) || row.kind == "global_avg_pool") {
      halves += static_cast<double>(before.numel());
    } else if (row.kind == "excite") {
      halves += 2 * work + 4 * out + work / (2 * out);
    } else if (row.kind == "linear") {
      halves += 2 * work;
    }
    before = row.output;
  }
  return halves / 2 / 1e6;
}

class MultiplyAdds : public testing::TestWithParam<Work> {};

TEST_P(MultiplyAdds, AsPrinted) {
  const Work& w = GetParam();
  const SkipInitialization shapes_alone;
  Model model = make_model(w.name, {.stride_on = w.stride_on});
  const Summary s = summarize(model);
  const double billions = static_cast<double>(s.multiply_adds) / 1e9;
  if (w.billions > 0) {
    EXPECT_NEAR(billions, w.billions, 0.005 * w.billions);
  }
  if (w.imgclsmob > 0) {
    EXPECT_NEAR(as_imgclsmob(model, s, w.squeezes), w.imgclsmob, 0.02);
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, MultiplyAdds,
                         testing::Values(Work{"resnet50", "1x1", 3.86, 3877.95},
                                         Work{"resnet50", "3x3", 0, 4110.48},
                                         Work{"se_resnet50", "1x1", 3.87, 3883.25},
                                         Work{"se_resnet50", "3x3", 0, 4115.78},
                                         Work{"resnet101", "1x1", 7.58, 7597.95},
                                         Work{"se_resnet101", "1x1", 7.60, 7602.76, false},
                                         Work{"resnet152", "1x1", 11.30, 11321.85},
                                         Work{"se_resnet152", "1x1", 11.32, 11328.52, false},
                                         Work{"resnext50_32x4d", "1x1", 4.24, 0},
                                         Work{"se_resnext50_32x4d", "1x1", 4.25, 4261.16},
                                         Work{"resnext101_32x4d", "1x1", 7.99, 0},
                                         Work{"se_resnext101_32x4d", "1x1", 8.00, 8012.73},
                                         Work{"senet154", "1x1", 0, 20745.78, false}),
                         [](const auto& network) {
                           return std::string(network.param.name) + "_" + network.param.stride_on;
                         });

}  // namespace
}  // namespace exciton::nn
