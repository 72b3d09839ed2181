#include "03_operator.hpp"

#include <gtest/gtest.h>

#include "exciton/core/gradcheck.hpp"

using namespace exciton;

TEST(Softplus, values) {
  const Tensor y = course::softplus(Tensor::from({3}, {-2, 0, 3}, DType::f64)).value();
  EXPECT_NEAR(y.at(0), std::log(1 + std::exp(-2.0)), 1e-12);
  EXPECT_NEAR(y.at(1), std::log(2.0), 1e-12);
  EXPECT_NEAR(y.at(2), std::log(1 + std::exp(3.0)), 1e-12);
}

TEST(Softplus, no_overflow) {
  const Tensor y = course::softplus(Tensor::from({2}, {1000, -1000})).value();
  EXPECT_EQ(y.at(0), 1000);
  EXPECT_EQ(y.at(1), 0);
}

TEST(Softplus, gradient) {
  for (const auto& example : course::Softplus::examples()) {
    const GradcheckResult result = gradcheck(example);
    EXPECT_TRUE(result.ok) << result.message;
  }
}

TEST(Softplus, on_the_tape) {
  Parameter x(Tensor::from({1}, {0}));
  Tape tape;
  tape.backward(course::softplus(x));
  EXPECT_FLOAT_EQ(static_cast<float>(x.grad.item()), 0.5F);
}
