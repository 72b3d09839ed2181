/// An operator behind one type, as the tape keeps it and its observers see it: tensors in any
/// number, and what it saved. Operators written in other languages derive from OperatorNode.
#pragma once
#include <concepts>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "exciton/core/operator.hpp"

namespace exciton {

namespace detail {
template <class T>
struct BackwardArity : std::integral_constant<int, any_number> {
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

struct OperatorNode {
  virtual ~OperatorNode() = default;
  virtual std::string_view name() const = 0;
  virtual Tensor forward(std::span<const Tensor> x) = 0;
  /// Gradients of all inputs, given dy (+ dy2 when not empty). dy2 comes only to those that read
  /// pending sums.
  virtual std::vector<Tensor> backward(Tensor dy, Tensor dy2, std::span<const bool> needs) = 0;
  virtual bool reads_pending_sum() const { return false; }
  /// How it last ran, forward or backward, where there are several ways: "winograd-f4x3".
  virtual std::string kernel() const { return {}; }
  /// Of forward; 0 where the operator does not say.
  virtual std::int64_t multiply_adds(const Tensor& /*y*/, std::span<const Tensor> /*x*/) const {
    return 0;
  }
};

/// Its typed face: observers that know Op find it, with its attributes, by a dynamic_cast.
template <Operator Op>
struct NodeOf final : OperatorNode {
  Op op;
  typename Op::Saved saved{};

  explicit NodeOf(Op o) : op(std::move(o)) {}
  std::string_view name() const override { return Op::name; }
  bool reads_pending_sum() const override { return ReadsPendingSum<Op>; }
  Tensor forward(std::span<const Tensor> x) override {
    return spread(x, [&](const auto&... t) { return op.forward(saved, t...); });
  }
  std::vector<Tensor> backward(Tensor dy, Tensor dy2, std::span<const bool> needs) override {
    if constexpr (arity_of<Op> == any_number) {
      return op.backward(saved, std::move(dy), needs);
    } else {
      Needs<arity_of<Op>> n{};
      std::ranges::copy(needs, n.begin());
      const auto grads = [&] {
        if constexpr (ReadsPendingSum<Op>)
          if (!dy2.empty()) return op.backward_sum(saved, std::move(dy), std::move(dy2), n);
        return op.backward(saved, std::move(dy), n);
      };
      auto g = grads();
      return {std::move_iterator(g.begin()), std::move_iterator(g.end())};
    }
  }
  std::string kernel() const override {
    if constexpr (requires { Op::kernel(saved); }) return Op::kernel(saved);
    return {};
  }
  std::int64_t multiply_adds(const Tensor& y, std::span<const Tensor> x) const override {
    return spread(x, [&](const auto&... t) -> std::int64_t {
      if constexpr (requires { op.multiply_adds(y, t...); }) return op.multiply_adds(y, t...);
      return 0;
    });
  }

 private:
  /// f(x[0], x[1], ...), or f(x) where the arity is any_number.
  template <class F>
  static auto spread(std::span<const Tensor> x, F f) {
    if constexpr (arity_of<Op> == any_number)
      return f(x);
    else
      return [&]<std::size_t... I>(std::index_sequence<I...>) { return f(x[I]...); }
    (std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
  }
};

}  // namespace exciton
