/// What an operator is: a struct with attributes as members, `forward` and `backward` side by side,
/// the saved state named, and examples from which its tests and benchmarks are made.
///
///   struct Sigmoid {
///     static constexpr std::string_view name = "sigmoid";
///     struct Saved { Tensor y; };                            // all that backward keeps alive
///     Tensor forward(Saved& saved, const Tensor& x) const;   // y = 1 / (1 + exp(-x))
///     Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;   // dx = dy y (1 - y)
///     static std::vector<Example<Sigmoid>> examples();
///   };
///   inline Var sigmoid(const Var& x) { return apply(Sigmoid{}, x); }
///
/// Rules. forward checks shapes and throws Error. backward returns one gradient an input, in order;
/// an empty Tensor means "none" and is expected where needs[i] is false. backward owns `dy` and
/// `saved` and may write its result into their storage when nobody shares it (reuse_or_new).
/// Optional inputs arrive as empty Tensors. Operators never add gradients: the tape does.
///
/// Optional members:
///   Grads<N> backward_sum(Saved&, Tensor dy, Tensor dy2, Needs<N>) const;
///       the gradient arrives as a pending sum dy + dy2, added while it is read;
///   std::int64_t multiply_adds(const Tensor& y, const Tensor&... x) const;
///   static Tensor sample(int input, const Shape&, Generator&);   // f64 test values other than
///   randn
#pragma once
#include <array>
#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "exciton/core/tensor.hpp"

namespace exciton {

/// The arity of operators that take any number of inputs: their forward and backward see a
/// std::span<const Tensor> and a std::vector<Tensor>.
inline constexpr int any_number = 0;

/// One gradient for each of N inputs.
template <int N>
using Grads = std::array<Tensor, static_cast<std::size_t>(N)>;
/// Which of the N inputs want a gradient.
template <int N>
using Needs = std::array<bool, static_cast<std::size_t>(N)>;

/// Attributes and input shapes of one test case. Put odd sizes here: H != W, channels that are no
/// multiple of the vector width, one image, one pixel, one hidden unit. Rank-0 shapes with
/// `absent` set stand for optional inputs left out.
template <class Op>
struct Example {
  Op op;
  std::vector<Shape> inputs;
};

/// The shape that stands for an absent optional input in an Example.
inline const Shape absent{0};

namespace detail {
template <class T>
struct BackwardArity {
  static_assert(
      !std::is_same_v<T, T>,
      "operator: backward must be `Grads<N> backward(Saved&, Tensor dy, Needs<N>) const`");
};
template <std::size_t N, class C, class S>
struct BackwardArity<std::array<Tensor, N> (C::*)(S&, Tensor, std::array<bool, N>) const>
    : std::integral_constant<int, static_cast<int>(N)> {};
template <class C, class S>
struct BackwardArity<std::vector<Tensor> (C::*)(S&, Tensor, std::span<const bool>) const>
    : std::integral_constant<int, any_number> {};
}  // namespace detail

/// Number of inputs of Op, read off the type of its backward.
template <class Op>
inline constexpr int arity_of = detail::BackwardArity<decltype(&Op::backward)>::value;

template <class Op>
concept Operator = requires(const Op op, typename Op::Saved saved) {
  { Op::name } -> std::convertible_to<std::string_view>;
  { arity_of<Op> } -> std::convertible_to<int>;
};

template <class Op>
concept ReadsPendingSum = std::is_member_function_pointer_v<decltype(&Op::backward_sum)>;

}  // namespace exciton
