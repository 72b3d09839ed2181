#include "optim/ema.hpp"

#include <gtest/gtest.h>

namespace exciton::optim {
namespace {

TEST(Ema, AveragesParametersAndFloatingBuffers) {
  Parameter p(Tensor::full({3, 5}, 1));
  Tensor running = Tensor::full({5}, 10, DType::f64), counter = Tensor::full({1}, 7, DType::i64);
  Ema ema({{"w", &p}}, {{"running", &running}, {"counter", &counter}}, 0.75);
  ASSERT_EQ(ema.state().size(), 2u);
  EXPECT_EQ(ema.state()[0].name, "ema.w");
  EXPECT_EQ(ema.state()[1].name, "ema.running");
  p.mutable_value().fill(5);
  running.fill(2);
  ema.update();
  EXPECT_DOUBLE_EQ(ema.state()[0].tensor->at(14), 2);  // 0.75 * 1 + 0.25 * 5
  EXPECT_DOUBLE_EQ(ema.state()[1].tensor->at(4), 8);   // 0.75 * 10 + 0.25 * 2
  ema.update();
  EXPECT_DOUBLE_EQ(ema.state()[0].tensor->at(0), 2.75);
}

TEST(Ema, SwapsThereAndBack) {
  Parameter p(Tensor::full({4}, 1));
  Ema ema({{"w", &p}}, {}, 0.5);
  p.mutable_value().fill(3);
  ema.update();
  const std::uint64_t version = p.version();
  ema.swap();
  EXPECT_TRUE(ema.swapped());
  EXPECT_EQ(p.value().at(0), 2);
  EXPECT_GT(p.version(), version);  // packed copies must notice
  EXPECT_THROW(ema.update(), Error);
  ema.swap();
  EXPECT_EQ(p.value().at(0), 3);
  ema.update();
  EXPECT_EQ(ema.state()[0].tensor->at(0), 2.5);
}

TEST(Ema, SaysWhatIsWrong) { EXPECT_THROW(Ema({}, {}, 1), Error); }

}  // namespace
}  // namespace exciton::optim
