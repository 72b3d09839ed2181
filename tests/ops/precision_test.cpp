// Fast paths and small types against the plain twin in double, forward and backward, on every
// example. Both see the same values: inputs are rounded first.
#include "support.hpp"

namespace exciton::ops {
namespace {

template <class Op>
void compare_with_double(DType type, double tolerance, bool plain) {
  const auto examples = Op::examples();
  for (std::size_t e = 0; e < examples.size(); ++e) {
    SCOPED_TRACE("example " + std::to_string(e) + (plain ? " (plain)" : ""));
    Op op = examples[e].op;
    if constexpr (requires { op.plain = true; }) op.plain = plain;
    Generator rng(9);
    std::vector<Tensor> small, wide;
    std::size_t i = 0;
    for (const Tensor& x : detail::example_inputs(examples[e], rng, DType::f64)) {
      const bool bf = type == DType::bf16 && is_activation<Op>(i++, examples[e].inputs);
      small.push_back(x.to(bf ? DType::bf16 : DType::f32));
      wide.push_back(small.back().to(DType::f64));
    }
    const Tensor dy = random_gradient(op, small, rng);
    const Outcome fast = run(op, small, dy), exact = run(examples[e].op, wide, dy.to(DType::f64));
    EXPECT_LE(distance(fast.y, exact.y), tolerance) << fast.y << " wants " << exact.y;
    ASSERT_EQ(fast.grads.size(), exact.grads.size());
    for (std::size_t g = 0; g < fast.grads.size(); ++g) {
      if (small[g].empty()) continue;
      EXPECT_EQ(fast.grads[g].dtype(), small[g].dtype()) << "gradient " << g;
      EXPECT_LE(distance(fast.grads[g], exact.grads[g]), tolerance)
          << "gradient " << g << ": " << fast.grads[g] << " wants " << exact.grads[g];
    }
  }
}

template <class Op>
class OpPrecision : public testing::Test {};
TYPED_TEST_SUITE(OpPrecision, AllOpTypes, OpNames);

TYPED_TEST(OpPrecision, SingleFollowsDouble) {
  compare_with_double<TypeParam>(DType::f32, 1e-5, false);
}

TYPED_TEST(OpPrecision, BFloat16FollowsDouble) {
  // One rounding to 8 bits is 2^-9; a product of two rounded factors about twice that.
  compare_with_double<TypeParam>(DType::bf16, 0x1p-7, false);
}

TEST(PlainTwin, Conv2d) {
  compare_with_double<Conv2d>(DType::f32, 1e-5, true);
  compare_with_double<Conv2d>(DType::bf16, 0x1p-7, true);
}

TEST(PlainTwin, Linear) {
  compare_with_double<Linear>(DType::f32, 1e-5, true);
  compare_with_double<Linear>(DType::bf16, 0x1p-7, true);
}

/// Every fused operator names its composed form, and gives the same.
TEST(Composed, FusedOperatorsComputeWhatTheirFormsDo) {
  std::vector<std::string_view> fused_operators;
  for_each_operator(AllOps{}, [&]<class Op>() {
    if constexpr (requires { &Op::composed; }) {
      fused_operators.push_back(Op::name);
      for (const auto& example : Op::examples())
        for (const auto& [type, tolerance] :
             {std::pair{DType::f64, 1e-12}, std::pair{DType::f32, 2e-5}}) {
          Generator rng(4);
          const std::vector<Tensor> x = detail::example_inputs(example, rng, type);
          const Tensor dy = random_gradient(example.op, x, rng);
          const auto fused = run(example.op, x, dy);
          const auto plain = run_on_tape(
              [&](const std::vector<Var>& v) { return composed(example.op, v); }, x, dy);
          EXPECT_LE(distance(fused.y, plain.y), tolerance) << Op::name << ' ' << type;
          for (std::size_t i = 0; i < x.size(); ++i)
            EXPECT_LE(distance(fused.grads[i], plain.grads[i]), tolerance)
                << Op::name << " gradient " << i << ' ' << type;
        }
    }
  });
  EXPECT_EQ(fused_operators, (std::vector<std::string_view>{"residual_tail", "norm_relu_conv"}));
}

TEST(Cast, RoundsBetweenAllFloatingTypes) {
  const Tensor x = Tensor::from({3}, {1.00390625, -2, 1e-3}, DType::f64);
  for (DType from : {DType::f64, DType::f32, DType::bf16})
    for (DType to : {DType::f64, DType::f32, DType::bf16}) {
      Tape tape;
      const Var v = tape.watch(x.to(from));
      const Var y = cast(v, to);
      EXPECT_EQ(y.value().dtype(), to);
      tape.backward(y, Tensor::full({3}, 3, to));
      EXPECT_EQ(tape.gradient(v).dtype(), from);
      EXPECT_EQ(tape.gradient(v).at(1), 3);
      EXPECT_EQ(y.value().at(1), -2);
      EXPECT_NEAR(y.value().at(2), 1e-3, 1e-5);
    }
}

TEST(Special, NaNIsNotSwallowed) {
  for (DType type : {DType::f32, DType::bf16, DType::f64}) {
    Tensor x = Tensor::full({1, 2, 2, 3}, -1, type);
    x.set(4, NAN);
    EXPECT_TRUE(std::isnan(relu(x).value().at(4)));
    EXPECT_EQ(relu(x).value().at(3), 0);
    EXPECT_TRUE(std::isnan(max_pool(x).value().at(1)));
    EXPECT_EQ(max_pool(x).value().at(0), -1);
  }
}

TEST(Special, CrossEntropyOfHugeLogitsIsFinite) {
  const Tensor labels = Tensor::from({2}, {0, 1}, DType::i64);
  for (DType type : {DType::f32, DType::f64}) {
    const Tensor z = Tensor::from({2, 2}, {1e4, -1e4, 1e4, -1e4}, type);
    EXPECT_NEAR(cross_entropy(z, labels).value().item(), 1e4, 1e-2);
  }
}

TEST(Special, DropoutKeepsTheMeanAndRepeats) {
  const Tensor x = Tensor::full({100, 1000}, 1);
  Generator a(7), b(7);
  const Tensor y = dropout(x, 0.3, a).value();
  EXPECT_TRUE(same_bits(y, dropout(x, 0.3, b).value()));
  EXPECT_EQ(a.state(), b.state());
  EXPECT_EQ(a.state().counter, 100000u);
  double sum = 0;
  std::int64_t dropped = 0;
  for (float v : y.span<float>()) {
    sum += v;
    dropped += v == 0;
    EXPECT_TRUE(v == 0 || std::abs(v - 1 / 0.7f) < 1e-6f);
  }
  EXPECT_NEAR(sum / 1e5, 1, 0.01);
  EXPECT_NEAR(static_cast<double>(dropped) / 1e5, 0.3, 0.01);
  EXPECT_FALSE(same_bits(y, dropout(x, 0.3, a).value())) << "the next call must draw a new mask";
}

}  // namespace
}  // namespace exciton::ops
