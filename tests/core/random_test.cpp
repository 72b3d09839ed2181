#include "exciton/core/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace exciton {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// The known answers of the Random123 distribution (kat_vectors, philox4x32-10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t f = 0xffffffff;
  EXPECT_EQ(philox({f, f, f, f}, {f, f}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Generator, IsAFunctionOfItsState) {
  Generator a(7, 3);
  std::vector<std::uint32_t> first;
  for (int i = 0; i < 11; ++i) first.push_back(a.bits());
  EXPECT_EQ(a.state(), (Generator::State{7, 3, 11}));
  for (std::uint64_t start = 0; start < 11; ++start) {
    Generator b({.seed = 7, .stream = 3, .counter = start});
    EXPECT_EQ(b.bits(), first[start]);
  }
  a.set_state({7, 3, 2});
  EXPECT_EQ(a.bits(), first[2]);
}

TEST(Generator, StreamsAndSeedsDiffer) {
  Generator a(1, 0), b(1, 1), c(2, 0);
  const std::uint32_t x = a.bits(), y = b.bits(), z = c.bits();
  EXPECT_NE(x, y);
  EXPECT_NE(x, z);
}

TEST(Generator, NormalHasMeanZeroAndVarianceOne) {
  Generator rng(5);
  const int n = 100000;
  double sum = 0, square = 0, fourth = 0;
  for (int i = 0; i < n; ++i) {
    const double v = rng.normal();
    ASSERT_TRUE(std::isfinite(v));
    sum += v;
    square += v * v;
    fourth += v * v * v * v;
  }
  EXPECT_NEAR(sum / n, 0, 0.02);
  EXPECT_NEAR(square / n, 1, 0.03);
  EXPECT_NEAR(fourth / n, 3, 0.15);  // of a normal, not of any other law with variance 1
}

TEST(Generator, UniformCoversItsRange) {
  Generator rng(6);
  float low = 1, high = 0;
  double sum = 0;
  for (int i = 0; i < 20000; ++i) {
    const float v = rng.uniform();
    ASSERT_GE(v, 0);
    ASSERT_LT(v, 1);
    low = std::min(low, v);
    high = std::max(high, v);
    sum += v;
  }
  EXPECT_LT(low, 0.001f);
  EXPECT_GT(high, 0.999f);
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
}

TEST(Generator, BelowIsUniform) {
  Generator rng(8);
  std::array<int, 7> count{};
  for (int i = 0; i < 70000; ++i) ++count[rng.below(7)];
  for (int c : count) EXPECT_NEAR(c, 10000, 400);
  EXPECT_EQ(rng.below(1), 0u);
  EXPECT_THROW(rng.below(0), Error);
}

}  // namespace
}  // namespace exciton
