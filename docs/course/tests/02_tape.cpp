#include "02_tape.hpp"

#include <gtest/gtest.h>

#include "exciton/core/tape.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/mul.hpp"

TEST(ScalarTape, a_product_knows_both_derivatives) {
  course::ScalarTape t;
  const int x = t.input(3), y = t.input(2);
  const int z = t.mul(x, y);
  EXPECT_EQ(t.value(z), 6);
  EXPECT_EQ(t.backward(z), (std::vector<double>{2, 3, 1}));
}

TEST(ScalarTape, a_value_used_twice_gets_the_sum) {
  course::ScalarTape t;
  const int x = t.input(3), y = t.input(2);
  const int z = t.add(t.mul(x, x), t.mul(x, y));
  EXPECT_EQ(t.value(z), 15);
  const auto grad = t.backward(z);
  EXPECT_EQ(grad[static_cast<std::size_t>(x)], 8);
  EXPECT_EQ(grad[static_cast<std::size_t>(y)], 3);
}

TEST(ScalarTape, what_came_later_or_aside_has_none) {
  course::ScalarTape t;
  const int x = t.input(5), aside = t.input(7);
  const int z = t.add(x, x), later = t.mul(z, aside);
  const auto grad = t.backward(z);
  EXPECT_EQ(grad[static_cast<std::size_t>(x)], 2);
  EXPECT_EQ(grad[static_cast<std::size_t>(aside)], 0);
  EXPECT_EQ(grad[static_cast<std::size_t>(later)], 0);
}

TEST(ScalarTape, agrees_with_the_tape_of_exciton) {
  using namespace exciton;
  const double at[] = {0.7, -1.3};
  course::ScalarTape t;
  const int x = t.input(at[0]), y = t.input(at[1]);
  const int xy = t.mul(x, y), z = t.mul(t.add(xy, x), xy);
  const auto ours = t.backward(z);

  Parameter px(Tensor::full({1}, at[0], DType::f64)), py(Tensor::full({1}, at[1], DType::f64));
  Tape tape;
  const Var vxy = ops::mul(px, py);
  tape.backward(ops::mul(ops::add(vxy, px), vxy));
  EXPECT_NEAR(ours[static_cast<std::size_t>(x)], px.grad.item(), 1e-12);
  EXPECT_NEAR(ours[static_cast<std::size_t>(y)], py.grad.item(), 1e-12);
}
