#include "exciton/core/tensor.hpp"
#include "tests/error_of.hpp"

#include <gtest/gtest.h>

#include <vector>

#include <cmath>
#include <sstream>

namespace exciton {
namespace {

using test_support::error_of;

constexpr DType all_types[] = {DType::f32, DType::bf16, DType::f64, DType::i64, DType::u8};

TEST(Shape, CountsAndIndexes) {
  const Shape s{2, 3, 4, 5};
  EXPECT_EQ(s.rank(), 4);
  EXPECT_EQ(s.numel(), 120);
  EXPECT_EQ(s[-1], 5);
  EXPECT_EQ(s[0], 2);
  EXPECT_EQ(s.str(), "[2, 3, 4, 5]");
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ((Shape{3, 0}).numel(), 0);
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_EQ(error_of([&] { s[4]; }), "shape: axis 4 of [2, 3, 4, 5]");
  EXPECT_EQ(error_of([&] { s[-5]; }), "shape: axis -5 of [2, 3, 4, 5]");
  EXPECT_EQ(error_of([] { Shape{2, -1}; }), "shape: negative extent -1");
  EXPECT_EQ(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1}; }), "shape: at most 6 dimensions, got 7");
}

TEST(Tensor, EmptyStandsForAbsent) {
  const Tensor t;
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.numel(), 0);
  EXPECT_EQ(error_of([&] { t.data<float>(); }), "tensor: access to an empty tensor");
  EXPECT_TRUE(t.clone().empty());
}

TEST(Tensor, HoldsEveryType) {
  for (DType type : all_types) {
    Tensor t = Tensor::from({2, 3}, {0, 1, 2, 3, 4, 5}, type);
    EXPECT_EQ(t.dtype(), type);
    EXPECT_EQ(t.bytes(), 6 * size_of(type));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.raw()) % 64, 0u);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(t.at(i), i);
    t.set(2, 9);
    EXPECT_EQ(t.at(2), 9);
    EXPECT_EQ(Tensor::full({2}, 7, type).at(1), 7);
    EXPECT_EQ(Tensor::zeros({2}, type).at(1), 0);
    for (DType other : all_types) {
      const Tensor u = t.to(other);
      EXPECT_EQ(u.dtype(), other);
      for (int i = 0; i < 6; ++i) EXPECT_EQ(u.at(i), t.at(i));
    }
  }
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  Tensor a = Tensor::full({2, 2}, 1);
  EXPECT_FALSE(a.shared());
  Tensor b = a;
  EXPECT_TRUE(a.shared());
  EXPECT_TRUE(a.same_storage(b));
  b.set(0, 5);
  EXPECT_EQ(a.at(0), 5);
  Tensor c = a.clone();
  EXPECT_FALSE(c.same_storage(a));
  c.set(0, 6);
  EXPECT_EQ(a.at(0), 5);
  EXPECT_TRUE(a.to(DType::f32).same_storage(a)) << "no copy where the type fits";
  EXPECT_FALSE(a.to(DType::f64).same_storage(a));
}

TEST(Tensor, ReshapeKeepsElements) {
  const Tensor a = Tensor::from({2, 3}, {0, 1, 2, 3, 4, 5});
  const Tensor b = a.reshape({3, 2});
  EXPECT_TRUE(a.same_storage(b));
  EXPECT_EQ(b.at(5), 5);
  EXPECT_EQ(a.shape(), (Shape{2, 3}));
  EXPECT_EQ(error_of([&] { a.reshape({4, 2}); }), "reshape: [2, 3] has 6 elements, [4, 2] has 8");
}

TEST(Tensor, AccessIsChecked) {
  const Tensor a = Tensor::zeros({2, 3});
  EXPECT_EQ(error_of([&] { a.data<double>(); }),
            "tensor: asked for f64 data, tensor [2, 3] holds f32");
  EXPECT_EQ(error_of([&] { a.at(6); }), "tensor: element 6 of [2, 3]");
  EXPECT_EQ(error_of([&] { a.at(-1); }), "tensor: element -1 of [2, 3]");
  EXPECT_EQ(error_of([&] { a.item(); }),
            "tensor: item() expected one element, got 6, shape [2, 3]");
  const auto few = [] { Tensor::from({3}, {1, 2}); };
  EXPECT_EQ(error_of(few), "tensor: expected 3 values for shape [3], got 2");
  Tensor b = Tensor::zeros({2, 3});
  const auto sum = [&] { b += Tensor::zeros({3, 2}); };
  const auto copy = [&] { b.copy_from(Tensor::zeros({2, 3}, DType::f64)); };
  EXPECT_EQ(error_of(sum), "tensor: += of [3, 2] f32 to [2, 3] f32");
  EXPECT_EQ(error_of(copy), "tensor: copy of [2, 3] f64 into [2, 3] f32");
}

TEST(Tensor, AddsInPlace) {
  for (DType type : {DType::f32, DType::bf16, DType::f64}) {
    Tensor a = Tensor::full({33}, 1.5, type);
    a += Tensor::full({33}, 2, type);
    for (int i = 0; i < 33; ++i) EXPECT_EQ(a.at(i), 3.5);
  }
  Tensor big = Tensor::full({1 << 17}, 1);
  big += big;
  EXPECT_EQ(dot(big, Tensor::full({1 << 17}, 1)), 2.0 * (1 << 17));
}

TEST(Tensor, RandomTensorsRepeat) {
  Generator a(3), b(3);
  const Tensor x = Tensor::randn({5, 7}, a), y = Tensor::randn({5, 7}, b);
  for (int i = 0; i < 35; ++i) EXPECT_EQ(x.at(i), y.at(i));
  EXPECT_NE(Tensor::randn({5, 7}, a).at(0), x.at(0));
  const Tensor u = Tensor::rand({1000}, a, 2, 3);
  for (float v : u.span<float>()) EXPECT_TRUE(v >= 2 && v <= 3);
}

TEST(Tensor, ReuseTakesStorageOnlyFromASoleOwner) {
  Tensor a = Tensor::zeros({2, 3});
  const void* storage = a.raw();
  Tensor b = reuse_or_new(a, {3, 2}, DType::f32);
  EXPECT_EQ(b.raw(), storage);
  EXPECT_EQ(b.shape(), (Shape{3, 2}));
  EXPECT_TRUE(a.empty());
  const Tensor holder = b;
  EXPECT_NE(reuse_or_new(b, {3, 2}, DType::f32).raw(), storage);
  EXPECT_FALSE(b.empty());
  Tensor c = Tensor::zeros({2, 3});
  EXPECT_EQ(reuse_or_new(c, {2, 3}, DType::f64).dtype(), DType::f64);
  EXPECT_EQ(reuse_or_new(c, {2, 4}, DType::f32).numel(), 8);
}

TEST(Tensor, Prints) {
  std::ostringstream out;
  out << Tensor::from({10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) << ' ' << Tensor();
  EXPECT_EQ(out.str(), "tensor [10] f32 {0, 1, 2, 3, 4, 5, 6, 7, ...} tensor (empty)");
}

TEST(Tensor, OverMemoryOfSomebodyElse) {
  std::vector<float> theirs{1, 2, 3, 4, 5, 6};
  int released = 0;
  {
    Tensor whole = Tensor::over(theirs.data(), {2, 3}, DType::f32, [&] { ++released; });
    const Tensor copy = whole.reshape({6});
    whole.set(4, 50);
    EXPECT_EQ(theirs[4], 50);
    EXPECT_EQ(copy.at(4), 50);
    EXPECT_EQ(whole.clone().at(5), 6);
    Tensor alone = Tensor::over(theirs.data(), {3}, DType::f32);
    EXPECT_TRUE(alone.shared()) << "with its owner: nobody may take it for a result";
    EXPECT_NE(reuse_or_new(alone, {3}, DType::f32).raw(), theirs.data());
    whole = Tensor();
    EXPECT_EQ(released, 0) << "somebody still looks at it";
  }
  EXPECT_EQ(released, 1);
  EXPECT_EQ(Tensor::over(theirs.data(), {3}, DType::f32).at(2), 3) << "nothing to release";
  EXPECT_THROW(Tensor::over(nullptr, {3}, DType::f32, [&] { ++released; }), Error);
  EXPECT_EQ(released, 1) << "no tensor came to own it";
  EXPECT_THROW(Tensor::over(reinterpret_cast<char*>(theirs.data()) + 1, {3}, DType::f32), Error);
}

}  // namespace
}  // namespace exciton
