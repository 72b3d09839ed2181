#include "exciton/train/evaluate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "exciton/core/random.hpp"
#include "exciton/data/resize.hpp"
#include "tests/train/support.hpp"

namespace exciton::train::testing {
namespace {

Tensor labels(const std::vector<double>& values) {
  return Tensor::from({static_cast<std::int64_t>(values.size())}, values, DType::i64);
}

TEST(Evaluate, counts_by_hand) {
  // Rows: right; third best; last of seven.
  const Tensor logits = Tensor::from({3, 7}, {0, 9, 1, 2, 3, 4, 5,  //
                                              5, 9, 8, 1, 2, 3, 4,  //
                                              7, 6, 5, 4, 3, 2, 1});
  Evaluation result(7);
  result.add(logits, labels({1, 0, 6}));
  EXPECT_EQ(result.images(), 3);
  EXPECT_DOUBLE_EQ(result.top1(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(result.top5(), 2.0 / 3);
  EXPECT_EQ(result.classes()[1].correct, 1);
  EXPECT_EQ(result.classes()[6].images, 1);
  EXPECT_EQ(result.classes()[6].correct, 0);
  double loss = 0;
  for (const auto& [row, own] : {std::pair{0, 9.0}, std::pair{1, 5.0}, std::pair{2, 1.0}}) {
    double sum = 0;
    for (int j = 0; j < 7; ++j) sum += std::exp(logits.at(row * 7 + j));
    loss += std::log(sum) - own;
  }
  EXPECT_NEAR(result.loss(), loss / 3, 1e-12);
  EXPECT_EQ(count_top1(logits, labels({1, 0, 6})), 1);
}

TEST(Evaluate, ties_go_to_the_lower_class_and_nan_wins_nothing) {
  EXPECT_EQ(count_top1(Tensor::from({1, 3}, {1, 1, 1}), labels({0})), 1);
  EXPECT_EQ(count_top1(Tensor::from({1, 3}, {1, 1, 1}), labels({1})), 0);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double label : {0.0, 1.0, 2.0}) {
    EXPECT_EQ(count_top1(Tensor::full({1, 3}, nan), labels({label})), 0);
    Evaluation evaluation(3);
    evaluation.add(Tensor::full({1, 3}, nan), labels({label}));
    EXPECT_EQ(evaluation.top5(), 0) << "nor is it among the first five of three";
    EXPECT_EQ(count_top1(Tensor::from({1, 3}, {nan, 1, 2}), labels({label})), 0);
  }
}

TEST(Evaluate, large_logits_do_not_overflow) {
  Evaluation result(2);
  result.add(Tensor::from({1, 2}, {1000, -1000}), labels({1}));
  EXPECT_DOUBLE_EQ(result.loss(), 2000);
}

TEST(Evaluate, refuses_other_classes) {
  Evaluation result(3);
  const auto few = [&] { result.add(Tensor::zeros({1, 2}), labels({0})); };
  const auto beyond = [&] { result.add(Tensor::zeros({1, 3}), labels({3})); };
  EXPECT_NE(error_of(few).find("2 classes"), std::string::npos);
  EXPECT_NE(error_of(beyond).find("label 3"), std::string::npos);
}

TEST(Resize, keeps_a_plain_colour_at_any_size) {
  data::Image image{5, 9, 3, {}};
  for (int i = 0; i < 45; ++i) image.pixels.insert(image.pixels.end(), {10, 100, 250});
  for (const auto& [h, w] : {std::pair{1, 1}, std::pair{17, 3}, std::pair{3, 64}}) {
    const data::Image out = resize(image, h, w);
    ASSERT_EQ(out.pixels.size(), static_cast<std::size_t>(h * w * 3));
    for (std::size_t i = 0; i < out.pixels.size(); ++i)
      EXPECT_EQ(out.pixels[i], image.pixels[i % 3]);
  }
}

TEST(Resize, halving_is_the_triangle_filter) {
  // PIL.Image.resize((2, 1), BILINEAR) of the row 0 80 160 240: weights 3 3 1 and 1 3 3 over 7.
  const data::Image row{1, 4, 1, {0, 80, 160, 240}};
  EXPECT_EQ(resize(row, 1, 2).pixels, (std::vector<std::uint8_t>{57, 183}));
  EXPECT_EQ(resize(row, 1, 4).pixels, row.pixels);
}

TEST(Resize, doubling_interpolates) {
  const data::Image row{1, 2, 1, {0, 100}};
  EXPECT_EQ(resize(row, 1, 4).pixels, (std::vector<std::uint8_t>{0, 25, 75, 100}));
}

}  // namespace
}  // namespace exciton::train::testing
