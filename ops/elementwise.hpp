/// Loops over whole tensors, element by element, in parallel pieces.
#pragma once
#include "core/tensor.hpp"
#include "core/threads.hpp"

namespace exciton::ops {

inline constexpr std::int64_t elementwise_grain = 1 << 14;

/// y[i] = f(x[i]) with f on Acc<T>; y may be x.
template <class T, class F>
void map(const Tensor& x, Tensor& y, F&& f) {
  using A = Acc<T>;
  const T* xp = x.data<T>();
  T* yp = y.data<T>();
  parallel_for(x.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) yp[i] = static_cast<T>(f(static_cast<A>(xp[i])));
  });
}

/// y[i] = f(a[i], b[i]) with f on Acc<T>; y may be a or b.
template <class T, class F>
void map(const Tensor& a, const Tensor& b, Tensor& y, F&& f) {
  using A = Acc<T>;
  const T *ap = a.data<T>(), *bp = b.data<T>();
  T* yp = y.data<T>();
  parallel_for(a.numel(), elementwise_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      yp[i] = static_cast<T>(f(static_cast<A>(ap[i]), static_cast<A>(bp[i])));
  });
}

}  // namespace exciton::ops
