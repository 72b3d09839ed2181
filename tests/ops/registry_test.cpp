// Operators of one's own by name.
#include "exciton/ops/registry.hpp"

#include <gtest/gtest.h>

#include "exciton/ops/arithmetic.hpp"
#include "exciton/ops/mul.hpp"
#include "tests/error_of.hpp"

namespace exciton::ops {
namespace {

using test_support::error_of;

TEST(OperatorRegistry, CallsByName) {
  operator_registry().add("my_mul", registered<Mul>());
  operator_registry().add("my_scale",
                          {1, {"factor"}, [](std::span<const Var> x, const Attributes& a) {
                             return x[0] * a.at("factor");
                           }});
  const std::vector<Var> x{Tensor::full({2}, 3), Tensor::full({2}, 5)};
  EXPECT_EQ(call("my_mul", x).value().at(1), 15);
  EXPECT_EQ(call("my_scale", std::span(x).first(1), {{"factor", 4}}).value().at(0), 12);
  EXPECT_EQ(error_of([&] { call("my_mul", std::span(x).first(1)); }),
            "my_mul: takes 2 inputs, got 1");
  EXPECT_EQ(error_of([&] {
              call("my_scale", std::span(x).first(1), {{"faktor", 4}});
            }),
            "my_scale: has no attribute \"faktor\"; known are factor");
  EXPECT_EQ(error_of([&] { call("my_add", x); }),
            "operator: unknown name \"my_add\"; known are my_mul, my_scale");
}

}  // namespace
}  // namespace exciton::ops
