#include "exciton/train/inspect/gate_stats.hpp"

#include <gtest/gtest.h>

#include "exciton/core/random.hpp"

namespace exciton::train::testing {
namespace {

/// Labels 0 and 1 in turn.
Tensor two_labels(std::int64_t n) {
  Tensor labels({n}, DType::i64);
  for (std::int64_t i = 0; i < n; ++i) labels.data<std::int64_t>()[i] = i % 2;
  return labels;
}

TEST(GateStats, MeansDeviationsAndCounts) {
  // Channels: dead, saturated, stuck, one that tells the classes apart, one that is noise.
  UnitStats stats("u", 5, 2, 0, 1);
  const Tensor gates = Tensor::from({4, 5}, {0.01, 0.99, 0.500, 0.2, 0.3,  //
                                             0.02, 0.98, 0.501, 0.8, 0.7,  //
                                             0.00, 0.97, 0.500, 0.2, 0.7,  //
                                             0.03, 1.00, 0.502, 0.8, 0.3});
  stats.add(gates, two_labels(4));
  const GateCounts counts = stats.counts();
  EXPECT_EQ(counts.channels, 5);
  EXPECT_EQ(counts.dead, 1);
  EXPECT_EQ(counts.saturated, 1);
  EXPECT_EQ(counts.stuck, 1);
  EXPECT_NEAR(stats.mean(3), 0.5, 1e-7);
  EXPECT_NEAR(stats.deviation(3), 0.3, 1e-6);
  EXPECT_NEAR(stats.mean(1, 3), 0.8, 1e-7);
  EXPECT_NEAR(stats.deviation(1, 3), 0, 1e-6);
  EXPECT_NEAR(stats.deviation(0, 4), 0.2, 1e-6);
  EXPECT_EQ(stats.images(1), 2);
  std::int64_t all = 0;
  for (const std::int64_t n : stats.histogram()) all += n;
  EXPECT_EQ(all, 20);
  EXPECT_EQ(stats.histogram()[8] + stats.histogram()[7], 2) << "0.2 lies there twice";
}

TEST(GateStats, ClassShareIsOneForClassesAndZeroForNoise) {
  Generator rng(4);
  UnitStats told("told", 3, 2, 0, 1), noise("noise", 3, 2, 0, 1);
  const Tensor labels = two_labels(400);
  Tensor by_class({400, 3});
  for (std::int64_t i = 0; i < 1200; ++i) by_class.set(i, (i / 3) % 2 ? 0.9 : 0.1);
  for (int half = 0; half < 2; ++half) {
    if (half == 1) {
      told.start_second_half();
      noise.start_second_half();
    }
    told.add(by_class, labels);
    noise.add(Tensor::rand({400, 3}, rng), labels);
  }
  EXPECT_GT(told.class_share(), 0.999);
  EXPECT_LT(noise.class_share(), 0.01);
  EXPECT_EQ(told.nearest_mean_accuracy(), 1);
  EXPECT_NEAR(noise.nearest_mean_accuracy(), 0.5, 0.1);
}

}  // namespace
}  // namespace exciton::train::testing
