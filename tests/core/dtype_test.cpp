#include "exciton/core/dtype.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace exciton {
namespace {

float through(float v) { return static_cast<float>(bf16(v)); }

TEST(BFloat16, RoundsToNearestEven) {
  // 8 significant bits: between 1 and 2 the step is 2^-7.
  const float step = 0x1p-7f;
  EXPECT_EQ(through(1), 1);
  EXPECT_EQ(through(1 + step), 1 + step);
  EXPECT_EQ(through(1 + 0.49f * step), 1);
  EXPECT_EQ(through(1 + 0.51f * step), 1 + step);
  EXPECT_EQ(through(1 + 0.5f * step), 1) << "a tie goes to the even neighbour";
  EXPECT_EQ(through(1 + 1.5f * step), 1 + 2 * step) << "a tie goes to the even neighbour";
  EXPECT_EQ(through(-(1 + 1.5f * step)), -(1 + 2 * step));
}

TEST(BFloat16, KeepsSpecialValues) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(through(inf), inf);
  EXPECT_EQ(through(-inf), -inf);
  EXPECT_TRUE(std::isnan(through(std::numeric_limits<float>::quiet_NaN())));
  // A NaN whose payload is only in the lower half must not become an infinity.
  EXPECT_TRUE(std::isnan(through(std::bit_cast<float>(0x7f800001u))));
  EXPECT_TRUE(std::signbit(through(-0.0f)));
  EXPECT_EQ(through(std::numeric_limits<float>::max()), inf) << "the largest f32 rounds up";
}

TEST(BFloat16, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    bf16 v;
    v.bits = static_cast<std::uint16_t>(bits);
    const float f = static_cast<float>(v);
    if (std::isnan(f)) continue;
    ASSERT_EQ(bf16(f).bits, v.bits);
  }
}

TEST(DType, NamesAndSizes) {
  for (DType t : {DType::f32, DType::bf16, DType::f64, DType::i64, DType::u8})
    EXPECT_EQ(parse_dtype(name_of(t)), t);
  EXPECT_EQ(size_of(DType::bf16), 2u);
  EXPECT_EQ(size_of(DType::f64), 8u);
  EXPECT_EQ(acc_type(DType::bf16), DType::f32);
  EXPECT_EQ(acc_type(DType::f64), DType::f64);
  EXPECT_THROW(parse_dtype("float"), Error);
}

TEST(DType, DispatchNamesWhoAsked) {
  EXPECT_EQ(dispatch_float(DType::bf16, "me", [](auto tag) { return sizeof(tag); }), 2u);
  try {
    dispatch_float(DType::u8, "my_op", [](auto) {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "my_op: expected a floating tensor (f32, bf16 or f64), got u8");
  }
}

}  // namespace
}  // namespace exciton
