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
/// Rules. forward checks shapes and throws Error. backward returns one gradient per input, in
/// order; an empty Tensor means "none" and is expected where needs[i] is false. backward owns `dy`
/// and `saved` and may write its result into their storage when nobody shares it (reuse_or_new).
/// Optional inputs arrive as empty Tensors. Operators never add gradients: the tape does.
///
/// Optional members:
///   Grads<N> backward_sum(Saved&, Tensor dy, Tensor dy2, Needs<N>) const;
///       the gradient arrives as a pending sum dy + dy2, added while it is read;
///   std::int64_t multiply_adds(const Tensor& y, const Tensor&... x) const;
///   static std::string kernel(const Saved&);  // where there are several ways: which ran last
///   static Tensor sample(int input, const Shape&, Generator&);  // f64 test values other than
///   randn
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "exciton/core/tensor.hpp"

namespace exciton {

/// One gradient for each of N inputs.
template <int N>
using Grads = std::array<Tensor, static_cast<std::size_t>(N)>;
/// Which of the N inputs want a gradient.
template <int N>
using Needs = std::array<bool, static_cast<std::size_t>(N)>;
/// The arity of operators that take any number of inputs: their forward and backward see a
/// std::span<const Tensor>, a std::span<const bool> and a std::vector<Tensor>.
inline constexpr int any_number = 0;

template <class Op>
struct Example;  // core/example.hpp: attributes and input shapes of a test case

}  // namespace exciton
