// Every operator with every wrong argument: one clear error, or a result; never memory that is not
// its own (buffers end at pages that nobody may touch).
#include <string>

#include "exciton/ops/elementwise.hpp"
#include "support.hpp"
#include "sweep/guarded_memory.hpp"

namespace exciton::ops {
namespace {

template <class Op>
class Arguments : public testing::Test {};
TYPED_TEST_SUITE(Arguments, AllOpTypes, OpNames);

std::string text_of(const Tensor& t) {
  return t.empty() ? "empty" : t.shape().str() + ' ' + std::string(name_of(t.dtype()));
}

/// Runs forward and, where that works, backward. Returns the error, or "".
template <class Op>
std::string error_of(const Op& op, const std::vector<Tensor>& x) {
  try {
    typename Op::Saved saved{};
    const Tensor y = detail::call_forward(op, saved, x);
    Tensor dy(y.shape(), y.dtype());
    dy.fill(0);
    detail::call_backward(op, saved, dy, x);
    return "";
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    EXPECT_FALSE(what.empty());
    return what;
  }
}

Shape with(const Shape& shape, int axis, std::int64_t extent) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) out.push_back(i == axis ? extent : shape[i]);
  return out;
}
Shape without_last(const Shape& shape) {
  Shape out;
  for (int i = 0; i + 1 < shape.rank(); ++i) out.push_back(shape[i]);
  return out;
}
Shape and_one(const Shape& shape) {
  Shape out = shape;
  out.push_back(1);
  return out;
}

TYPED_TEST(Arguments, OfAWrongTypeRankOrSizeAreErrors) {
  sweep::GuardedMemory memory(sweep::GuardedMemory::Against::end);
  {
    const ScopedMemorySource guarded(memory);
    for (const auto& example : TypeParam::examples()) {
      Generator rng(2);
      const auto x = detail::example_inputs(example, rng, DType::f32);
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (x[i].empty()) continue;
        const auto tried = [&](Tensor other) {
          auto inputs = x;
          const std::string what =
              "input " + std::to_string(i) + " " + text_of(x[i]) + " as " + text_of(other);
          inputs[i] = std::move(other);
          SCOPED_TRACE(what);
          return error_of(example.op, inputs);
        };
        const Shape& shape = x[i].shape();
        const bool indices = x[i].dtype() == DType::i64;
        for (const DType type : {DType::u8, DType::i64}) {
          if (type == x[i].dtype()) continue;
          EXPECT_NE(tried(Tensor::zeros(shape, type)), "")
              << "input " << i << " of type " << name_of(type);
        }
        if (indices) {
          EXPECT_NE(tried(Tensor::zeros(shape, DType::f32)), "") << "indices of type f32";
        }
        // Mixed floating types are refused, or computed: never read as another's bytes.
        tried(Tensor::zeros(shape, DType::f64));
        tried(Tensor::zeros(shape, DType::bf16));
        tried(Tensor());
        tried(Tensor::zeros(without_last(shape), x[i].dtype()));
        tried(Tensor::zeros(and_one(shape), x[i].dtype()));
        for (int axis = 0; axis < shape.rank(); ++axis)
          for (const std::int64_t extent : {std::int64_t{0}, shape[axis] - 1, shape[axis] + 1,
                                            2 * shape[axis], 7 * shape[axis] + 3})
            if (extent >= 0) tried(Tensor::zeros(with(shape, axis, extent), x[i].dtype()));
      }
      // The gradient that comes back may be wrong, too: another type, and one element more.
      const auto came_back = [&](const auto& form_of_dy) -> std::string {
        typename TypeParam::Saved saved{};
        const Tensor y = detail::call_forward(example.op, saved, x);
        try {
          detail::call_backward(example.op, saved, form_of_dy(y), x);
          return "";
        } catch (const Error& error) {
          return error.what();
        }
      };
      EXPECT_NE(came_back([](const Tensor& y) { return Tensor::zeros(y.shape(), DType::u8); }), "");
      EXPECT_NE(came_back([](const Tensor&) { return Tensor(); }), "");
      EXPECT_NE(came_back([](const Tensor& y) { return Tensor::zeros(and_one(y.shape())); }), "");
      const auto longer = [](const Tensor& y) {
        const Shape& shape = y.shape();
        return Tensor::zeros(shape.rank() == 0 ? Shape{2} : with(shape, 0, shape[0] + 1));
      };
      EXPECT_NE(came_back(longer), "");
    }
  }
  EXPECT_EQ(memory.damage(), "");
}

TEST(Arguments, GradcheckAndMapRefuseUnequalSizes) {
  const auto sum = [](auto u, auto v) { return u + v; };
  EXPECT_THROW(map("test", sum, Tensor::zeros({3}), Tensor::zeros({4})), Error);
  EXPECT_THROW(map("test", sum, Tensor::zeros({3}), Tensor::zeros({3}, DType::f64)), Error);
  EXPECT_THROW(gradcheck(Example<Add>{{}, {{2, 3}}}), Error);
  EXPECT_THROW(gradcheck(Example<Linear>{{}, {{4, 3}}}), Error);
  EXPECT_THROW(gradcheck(Example<Add>{{}, {}}), Error);
  EXPECT_THROW(conv2d(Tensor::zeros({1, 4, 4, 3}, DType::u8), Tensor::zeros({8, 3, 3, 3})), Error);
  EXPECT_THROW(conv2d(Tensor::zeros({1, 4, 4, 3}, DType::i64), Tensor::zeros({8, 3, 3, 3})), Error);
  EXPECT_THROW(add(Tensor::zeros({3}), Tensor::zeros({4})), Error);
}

}  // namespace
}  // namespace exciton::ops
