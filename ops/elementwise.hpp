/// For who writes an operator: loops of those that work element by element, cut over threads.
/// Tensors have one shape and one type; arithmetic is in Acc<T>.
#pragma once
#include <string_view>

#include "exciton/core/example.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// Errors: a is no input of an operator (check_input); a and b differ in shape or type.
inline void check_alike(std::string_view name, const Tensor& a, const Tensor& b) {
  check_input(name, "the first tensor", a);
  check(!b.empty() && Form::of(a) == Form::of(b), name,
        ": expected two tensors of one shape and type, got ", Form::of(a), " and ", Form::of(b),
        b.empty() ? " (empty)" : "");
}

/// out[i] = f(in[i]...). `out` may be one of the inputs. Errors: tensors of several shapes or
/// types.
template <class F, class... In>
void map_into(std::string_view name, Tensor& out, F f, const In&... in) {
  (check_alike(name, out, in), ...);
  dispatch_float(out.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    T* const y = out.data<T>();
    const auto loop = [&](const auto*... x) {
      parallel_for(out.numel(), 1 << 14, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i)
          y[i] = static_cast<T>(f(static_cast<A>(x[i])...));
      });
    };
    loop(in.template data<T>()...);
  });
}

/// A new tensor like x with f(x[i], more[i]...). Errors: as map_into, and check_input of x.
template <class F, class... In>
Tensor map(std::string_view name, F f, const Tensor& x, const In&... more) {
  check_input(name, "x", x);
  Tensor y(x.shape(), x.dtype());
  map_into(name, y, f, x, more...);
  return y;
}

/// The same for gradients: written over dy unless somebody else holds it. Errors: dy is not like
/// the others.
template <class F, class... In>
Tensor map_gradient(std::string_view name, F f, const Tensor& dy, const In&... more) {
  (check_gradient(name, dy, Form::of(more)), ...);
  Tensor dx = dy.shared() ? Tensor(dy.shape(), dy.dtype()) : dy;
  map_into(name, dx, f, dy, more...);
  return dx;
}

}  // namespace exciton::ops
