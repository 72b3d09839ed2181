#include "exciton/ops/smooth_activations.hpp"

#include <cmath>
#include <numbers>

#include "exciton/core/threads.hpp"
#include "exciton/ops/elementwise.hpp"
#include "exciton/ops/simd/activation_kernels.hpp"

namespace exciton::ops {
namespace {

constexpr std::int64_t grain = 1 << 13;  // a multiple of what kernels want

double gelu_value(double x) { return x * (0.5 * std::erfc(-x * std::numbers::sqrt2 / 2)); }
double gelu_slope(double x) {
  return 0.5 * std::erfc(-x * std::numbers::sqrt2 / 2) +
         x * (std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double silu_value(double x) { return x * sigmoid_of(x); }
double silu_slope(double x) { return sigmoid_of(x) * (1 + x * (1 - sigmoid_of(x))); }

/// Blocks of whole vectors, so that an element is computed the same way wherever work is cut.
template <class F>
void in_blocks(std::int64_t n, F&& f) {
  parallel_for((n + grain - 1) / grain, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t from = begin * grain, to = std::min(n, end * grain);
    f(from, to - from);
  });
}

Tensor forward_of(std::string_view name, auto kernel, double (*value)(double), const Tensor& x) {
  check_input(name, "x", x);
  if (x.dtype() == DType::f64) {
    const auto f = [value](auto v) { return static_cast<decltype(v)>(value(v)); };
    return map(name, f, x);
  }
  Tensor y(x.shape(), x.dtype());
  const auto run = [&]<class T>(T) {
    const auto f = simd::activation_kernels<T>().*(kernel(T{}));
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    in_blocks(x.numel(), [=](std::int64_t at, std::int64_t n) { f(from + at, to + at, n); });
  };
  x.dtype() == DType::bf16 ? run(bf16{}) : run(float{});
  return y;
}

Tensor backward_of(std::string_view name, auto kernel, double (*slope)(double), Tensor dy,
                   const Tensor& x) {
  if (x.dtype() == DType::f64) {
    const auto f = [slope](auto d, auto v) { return static_cast<decltype(v)>(d * slope(v)); };
    return map_gradient(name, f, dy, x);
  }
  check_gradient(name, dy, Form::of(x));
  Tensor dx = dy.shared() ? Tensor(dy.shape(), dy.dtype()) : dy;
  const auto run = [&]<class T>(T) {
    const auto f = simd::activation_kernels<T>().*(kernel(T{}));
    const T* const from = x.data<T>();
    const T* const d = std::as_const(dy).data<T>();
    T* const to = dx.data<T>();
    in_blocks(x.numel(),
              [=](std::int64_t at, std::int64_t n) { f(from + at, d + at, to + at, n); });
  };
  x.dtype() == DType::bf16 ? run(bf16{}) : run(float{});
  return dx;
}

template <class Op>
std::vector<Example<Op>> any_shapes() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace

Tensor Gelu::forward(Saved& saved, const Tensor& x) const {
  saved.x = x;
  return forward_of(
      name, []<class T>(T) { return &simd::ActivationKernels<T>::gelu; }, gelu_value, x);
}
Grads<1> Gelu::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {backward_of(
      name, []<class T>(T) { return &simd::ActivationKernels<T>::gelu_gradient; }, gelu_slope,
      std::move(dy), saved.x)};
}
std::vector<Example<Gelu>> Gelu::examples() { return any_shapes<Gelu>(); }

Tensor Silu::forward(Saved& saved, const Tensor& x) const {
  saved.x = x;
  return forward_of(
      name, []<class T>(T) { return &simd::ActivationKernels<T>::silu; }, silu_value, x);
}
Grads<1> Silu::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {backward_of(
      name, []<class T>(T) { return &simd::ActivationKernels<T>::silu_gradient; }, silu_slope,
      std::move(dy), saved.x)};
}
std::vector<Example<Silu>> Silu::examples() { return any_shapes<Silu>(); }

}  // namespace exciton::ops
