#include "exciton/ops/arithmetic.hpp"

#include <gtest/gtest.h>

namespace exciton::ops {
namespace {

TEST(Arithmetic, ReadsAsItIsWritten) {
  Parameter a(Tensor::full({2}, 3, DType::f64)), b(Tensor::full({2}, 5, DType::f64));
  Tape tape;
  const Var x = a, y = b;
  const Var z = 2 * x * y - x / 4 + (1 - y) * 3 - 7 + -(x + 0.5);
  EXPECT_DOUBLE_EQ(z.value().at(0), 2 * 3 * 5 - 3.0 / 4 + (1 - 5) * 3 - 7 - (3 + 0.5));
  tape.backward(z, Tensor::full({2}, 1, DType::f64));
  EXPECT_DOUBLE_EQ(a.grad.at(1), 2 * 5 - 0.25 - 1);
  EXPECT_DOUBLE_EQ(b.grad.at(1), 2 * 3 - 3);
}

TEST(Arithmetic, TakesTensorsAndParametersAndRefusesOtherShapes) {
  Parameter a(Tensor::full({2}, 3));
  const Var constant = Tensor::full({2}, 1);
  EXPECT_EQ((constant + a).value().at(0), 4);
  EXPECT_THROW(Var(a) + Var(Tensor::full({3}, 1)), Error);
}

}  // namespace
}  // namespace exciton::ops
