/// GELU and SiLU, whose values need an exponential for every element. Each works on n consecutive
/// elements on the calling thread; callers cut the work, at multiples of 64 elements. Built once an
/// instruction set and chosen at run time.
#pragma once
#include <cstdint>

#include "exciton/core/dtype.hpp"

namespace exciton::ops::simd {

/// T is float or bf16; arithmetic is in f32. The exponential is right to 2 ulp, the error function
/// to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
template <class T>
struct ActivationKernels {
  using Forward = void (*)(const T* x, T* y, std::int64_t n);
  /// dx may be dy.
  using Backward = void (*)(const T* x, const T* dy, T* dx, std::int64_t n);
  Forward gelu, silu;
  Backward gelu_gradient, silu_gradient;
};

/// The kernels of the best instruction set this processor has, for T float or bf16.
template <class T>
const ActivationKernels<T>& activation_kernels();

}  // namespace exciton::ops::simd
