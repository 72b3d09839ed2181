// What every operator promises beside its numbers (core/operator.hpp).
#include <cmath>

#include "exciton/core/threads.hpp"
#include "support.hpp"

namespace exciton::ops {
namespace {

template <class Op>
class Contract : public testing::Test {
 protected:
  ~Contract() override { set_num_threads(threads_); }

 private:
  int threads_ = num_threads();
};
TYPED_TEST_SUITE(Contract, AllOpTypes, OpNames);

template <class Op>
std::vector<Tensor> backward_needing(const Op& op, typename Op::Saved& saved, Tensor dy,
                                     std::size_t only, std::size_t inputs) {
  if constexpr (arity_of<Op> == any_number) {
    const auto needs = std::make_unique<bool[]>(inputs);
    needs[only] = true;
    return op.backward(saved, std::move(dy), std::span<const bool>(needs.get(), inputs));
  } else {
    Needs<arity_of<Op>> needs{};
    needs[only] = true;
    auto grads = op.backward(saved, std::move(dy), needs);
    return {grads.begin(), grads.end()};
  }
}

TYPED_TEST(Contract, EachGradientAloneIsTheSame) {
  for (const auto& example : TypeParam::examples()) {
    Generator rng(2);
    const auto x = detail::example_inputs(example, rng, DType::f32);
    const Tensor dy = random_gradient(example.op, x, rng);
    const Outcome all = run(example.op, x, dy);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (x[i].empty()) continue;
      typename TypeParam::Saved saved{};
      detail::call_forward(example.op, saved, x);
      const auto alone = backward_needing(example.op, saved, dy.clone(), i, x.size());
      EXPECT_LE(distance(alone[i], all.grads[i]), 1e-6) << "input " << i;
    }
  }
}

TYPED_TEST(Contract, SharedTensorsAreNotWritten) {
  for (const auto& example : TypeParam::examples()) {
    Generator rng(2);
    const auto x = detail::example_inputs(example, rng, DType::f32);
    std::vector<Tensor> x_before;
    for (const Tensor& t : x) x_before.push_back(t.clone());
    const Tensor dy = random_gradient(example.op, x, rng), dy_before = dy.clone();
    typename TypeParam::Saved saved{};
    const Tensor y = detail::call_forward(example.op, saved, x);
    const Tensor y_before = y.clone();
    detail::call_backward(example.op, saved, dy, x);  // dy, x and y are held here, too
    EXPECT_TRUE(same_bits(dy, dy_before));
    EXPECT_TRUE(same_bits(y, y_before));
    for (std::size_t i = 0; i < x.size(); ++i)
      EXPECT_TRUE(same_bits(x[i], x_before[i])) << "input " << i;
  }
}

TYPED_TEST(Contract, ThreadsChangeNoBit) {
  for (const auto& example : TypeParam::examples()) {
    Generator rng(2);
    const auto x = detail::example_inputs(example, rng, DType::f32);
    const Tensor dy = random_gradient(example.op, x, rng);
    set_num_threads(1);
    const Outcome one = run(example.op, x, dy);
    for (const int threads : {1, 2, 3, 5, 16}) {
      set_num_threads(threads);
      const Outcome more = run(example.op, x, dy);
      EXPECT_TRUE(same_bits(more.y, one.y)) << threads << " threads";
      for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_TRUE(same_bits(more.grads[i], one.grads[i])) << threads << " threads, " << i;
    }
  }
}

TEST(PendingSum, IsTheSum) {
  int operators = 0;
  for_each_operator(AllOps{}, [&]<class Op>() {
    if constexpr (ReadsPendingSum<Op>) {
      ++operators;
      for (const auto& example : Op::examples()) {
        Generator rng(2);
        const auto x = detail::example_inputs(example, rng, DType::f64);
        const Tensor a = random_gradient(example.op, x, rng);
        const Tensor b = random_gradient(example.op, x, rng);
        Tensor sum = a.clone();
        sum += b;
        const Outcome wanted = run(example.op, x, sum);
        typename Op::Saved saved{};
        detail::call_forward(example.op, saved, x);
        Needs<arity_of<Op>> needs{};
        for (std::size_t i = 0; i < x.size(); ++i) needs[i] = !x[i].empty();
        const auto grads = example.op.backward_sum(saved, a.clone(), b.clone(), needs);
        for (std::size_t i = 0; i < x.size(); ++i)
          EXPECT_LE(distance(grads[i], wanted.grads[i]), 1e-12) << Op::name << " input " << i;
      }
    }
  });
  EXPECT_GE(operators, 1);
}

TEST(MaxPool, GivesTheGradientToTheFirstOfEqualsAndToNaN) {
  // Two channels of one 2 x 2 window: equal values, and a NaN between larger ones.
  const double nan = std::nan("");
  for (const DType type : {DType::f32, DType::bf16, DType::f64}) {
    const Tensor x = Tensor::from({1, 2, 2, 2}, {1, 9, 3, 2, 3, nan, -1, 8}, type);
    const Outcome got = run(MaxPool{}, {x}, Tensor::from({1, 1, 1, 2}, {5, 7}, type));
    EXPECT_EQ(got.y.at(0), 3) << type;
    EXPECT_TRUE(std::isnan(got.y.at(1))) << type;
    const double dx[] = {0, 0, 5, 0, 0, 7, 0, 0};
    for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(got.grads[0].at(i), dx[i]) << type << ' ' << i;
  }
}

}  // namespace
}  // namespace exciton::ops
