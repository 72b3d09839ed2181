#include "exciton/nn/summary.hpp"

#include <gtest/gtest.h>

#include "exciton/nn/layers.hpp"

namespace exciton::nn {
namespace {

Summary summary_of(const std::string& name, const ModelOptions& options = {},
                   std::int64_t image_size = 0, std::int64_t batch = 1) {
  const SkipInitialization shapes_alone;
  Model model = make_model(name, options);
  return summarize(model, image_size, batch);
}

TEST(Summary, ResNet50MultiplyAdds) {
  EXPECT_EQ(summary_of("resnet50").multiply_adds, 3'857'973'248);
  EXPECT_EQ(summary_of("resnet50", {.stride_on = "3x3"}).multiply_adds, 4'089'184'256);
}

TEST(Summary, SEOfResNet50IsEquation5) {
  const Summary s = summary_of("se_resnet50", {.se = {.bias = false}});
  EXPECT_EQ(s.parameters, 28'071'976);
  EXPECT_EQ(s.se_parameters, 2'514'944);
  EXPECT_EQ(s.se_multiply_adds, 2'514'944);  // every weight once an image
  EXPECT_EQ(s.multiply_adds, 3'857'973'248 + 2'514'944);
}

TEST(Summary, CifarResNetByHand) {
  const Summary s = summary_of("se_resnet20");
  const std::int64_t p1 = 32 * 32, p2 = 16 * 16, p3 = 8 * 8;
  const std::int64_t convolutions = p1 * 9 * (3 * 16 + 6 * 16 * 16) +
                                    p2 * (9 * (16 * 32 + 5 * 32 * 32) + 16 * 32) +
                                    p3 * (9 * (32 * 64 + 5 * 64 * 64) + 32 * 64);
  EXPECT_EQ(s.se_multiply_adds, 3 * 2 * (16 * 1 + 32 * 2 + 64 * 4));
  EXPECT_EQ(s.multiply_adds, convolutions + 64 * 10 + s.se_multiply_adds);
  EXPECT_EQ(s.se_parameters, 2'373);
  EXPECT_EQ(s.image_size, 32);
  EXPECT_EQ(s.classes, 10);
}

TEST(Summary, RowsAddUpToTheTotals) {
  const Summary s = summary_of("se_resnet20");
  std::int64_t parameters = 0, multiply_adds = 0, bytes = 0, se_parameters = 0;
  for (const SummaryRow& row : s.rows) {
    parameters += row.parameters;
    multiply_adds += row.multiply_adds;
    bytes += row.activation_bytes;
    if (row.kind == "excite") {
      EXPECT_TRUE(row.is_se);
      se_parameters += row.parameters;
    }
  }
  EXPECT_EQ(parameters, s.parameters);
  EXPECT_EQ(multiply_adds, s.multiply_adds);
  EXPECT_EQ(bytes, s.activation_bytes);
  EXPECT_EQ(se_parameters, s.se_parameters);

  EXPECT_EQ(s.rows.front().name, "conv1");
  EXPECT_EQ(s.rows.front().kind, "conv2d");
  EXPECT_EQ(s.rows.front().output, Shape({1, 32, 32, 16}));
  EXPECT_EQ(s.rows.front().parameters, 432);
  EXPECT_EQ(s.rows.front().activation_bytes, 32 * 32 * 16 * 4);
  EXPECT_EQ(s.rows.back().name, "fc");
  EXPECT_EQ(s.rows.back().output, Shape({1, 10}));
}

TEST(Summary, BatchAndImageSizeScaleIt) {
  const Summary one = summary_of("se_resnet20"), three = summary_of("se_resnet20", {}, 0, 3);
  EXPECT_EQ(three.multiply_adds, 3 * one.multiply_adds);
  EXPECT_EQ(three.activation_bytes, 3 * one.activation_bytes);
  EXPECT_EQ(three.parameters, one.parameters);
  const Summary large = summary_of("resnet20", {}, 64);
  EXPECT_EQ(large.multiply_adds - 640, 4 * (summary_of("resnet20").multiply_adds - 640));
}

TEST(Summary, LeavesTheModelAsItWas) {
  Model model = make_model("se_resnet20");
  parameters(*model.net).front().parameter->trainable = false;
  const Summary s = summarize(model);
  EXPECT_EQ(s.rows.front().parameters, 432);  // a frozen one counts
  EXPECT_FALSE(parameters(*model.net).front().parameter->trainable);
  EXPECT_TRUE(model.net->training);
  EXPECT_TRUE(model.net->fused);
  for (const auto& [name, buffer] : buffers(*model.net))
    EXPECT_EQ(buffer->at(0), name.ends_with("mean") ? 0 : 1) << name;
  EXPECT_EQ(Tape::active(), nullptr);
  EXPECT_THROW(summarize(model, -1), Error);
}

}  // namespace
}  // namespace exciton::nn
