#include "exciton/optim/ema.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace exciton::optim {
namespace {

TEST(Ema, AveragesParametersAndFloatingBuffers) {
  Parameter p(Tensor::full({3, 5}, 1));
  Tensor running = Tensor::full({5}, 10, DType::f64), counter = Tensor::full({1}, 7, DType::i64);
  Ema ema({{"w", &p}}, {{"running", &running}, {"counter", &counter}},
          {.decay = 0.75, .warmup = false});
  ASSERT_EQ(ema.state().size(), 2u);
  EXPECT_EQ(ema.state()[0].name, "ema.w");
  EXPECT_EQ(ema.state()[1].name, "ema.running");
  p.mutable_value().fill(5);
  running.fill(2);
  ema.update(1);
  EXPECT_DOUBLE_EQ(ema.state()[0].tensor->at(14), 2);  // 0.75 * 1 + 0.25 * 5
  EXPECT_DOUBLE_EQ(ema.state()[1].tensor->at(4), 8);   // 0.75 * 10 + 0.25 * 2
  ema.update(2);
  EXPECT_DOUBLE_EQ(ema.state()[0].tensor->at(0), 2.75);
}

TEST(Ema, SwapsThereAndBack) {
  Parameter p(Tensor::full({4}, 1));
  Ema ema({{"w", &p}}, {}, {.decay = 0.5, .warmup = false});
  p.mutable_value().fill(3);
  ema.update(1);
  const std::uint64_t version = p.version();
  ema.swap();
  EXPECT_TRUE(ema.swapped());
  EXPECT_EQ(p.value().at(0), 2);
  EXPECT_GT(p.version(), version);  // packed copies must notice
  EXPECT_THROW(ema.update(2), Error);
  ema.swap();
  EXPECT_EQ(p.value().at(0), 3);
  ema.update(2);
  EXPECT_EQ(ema.state()[0].tensor->at(0), 2.5);
}

// The weights of a step t are all that counts of those before: with the values 0 (the start) and
// then 1, the average is 1 - prod d. TensorFlow's and timm's d is min(decay, (1 + t) / (10 + t)).
TEST(Ema, WarmUpKeepsTheStartOut) {
  Parameter warm(Tensor::full({1}, 0, DType::f64)), cold(Tensor::full({1}, 0, DType::f64));
  Ema a({{"w", &warm}}, {}, {.decay = 0.9999}),
      b({{"w", &cold}}, {}, {.decay = 0.9999, .warmup = false});
  warm.mutable_value().fill(1);
  cold.mutable_value().fill(1);
  double start_a = 1, start_b = 1;
  for (std::int64_t t = 1; t <= 300; ++t) {
    a.update(t);
    b.update(t);
    start_a *= std::min(0.9999, (1.0 + static_cast<double>(t)) / (10.0 + static_cast<double>(t)));
    start_b *= 0.9999;
    if (t == 1) {
      EXPECT_DOUBLE_EQ(a.state()[0].tensor->at(0), 1 - 2.0 / 11);
    }
  }
  EXPECT_NEAR(1 - a.state()[0].tensor->at(0), start_a, 1e-13);
  EXPECT_LT(start_a, 1e-15);
  EXPECT_NEAR(1 - b.state()[0].tensor->at(0), start_b, 1e-12);  // 97 % of it is the start
  EXPECT_EQ(a.decay_at(100'000'000), 0.9999);
}

// decay a + (1 - decay) v drifts where both are rounded: here by 5e-4 in 10,000 updates.
TEST(Ema, ConstantWeightsDoNotDrift) {
  Parameter p(Tensor::full({257}, 0.1));
  Tensor running = Tensor::full({3}, 3e7);
  for (const bool warmup : {true, false}) {
    Ema ema({{"w", &p}}, {{"running", &running}}, {.decay = 0.9999, .warmup = warmup});
    for (std::int64_t t = 1; t <= 10'000; ++t) ema.update(t);
    for (std::int64_t i = 0; i < 257; ++i) ASSERT_EQ(ema.state()[0].tensor->at(i), p.value().at(i));
    ASSERT_EQ(ema.state()[1].tensor->at(2), running.at(2));
  }
}

TEST(Ema, SaysWhatIsWrong) {
  EXPECT_THROW(Ema({}, {}, {.decay = 1}), Error);
  EXPECT_THROW(Ema({}, {}, {.decay = 0.5}).update(0), Error);
}

}  // namespace
}  // namespace exciton::optim
