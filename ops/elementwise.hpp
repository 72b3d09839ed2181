/// Loops of operators that work element by element, cut over threads. Tensors have one shape and
/// one type; arithmetic is in Acc<T>.
#pragma once
#include <string_view>

#include "core/tensor.hpp"
#include "core/threads.hpp"

namespace exciton::ops {

/// Errors: a and b differ in shape or type.
inline void check_alike(std::string_view name, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), name, ": wants two tensors alike, got ",
        a.shape(), ' ', a.dtype(), " and ", b.shape(), ' ', b.dtype());
}

/// out[i] = f(in[i]...). `out` may be one of the inputs.
template <class F, class... In>
void map_into(std::string_view name, Tensor& out, F f, const In&... in) {
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

/// A new tensor like x with f(x[i], more[i]...).
template <class F, class... In>
Tensor map(std::string_view name, F f, const Tensor& x, const In&... more) {
  Tensor y(x.shape(), x.dtype());
  map_into(name, y, f, x, more...);
  return y;
}

/// The same for gradients: written over dy unless somebody else holds it.
template <class F, class... In>
Tensor map_gradient(std::string_view name, F f, const Tensor& dy, const In&... more) {
  Tensor dx = dy.shared() ? Tensor(dy.shape(), dy.dtype()) : dy;
  map_into(name, dx, f, dy, more...);
  return dx;
}

}  // namespace exciton::ops
