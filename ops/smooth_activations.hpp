/// Smooth activations: x of any shape -> y = f(x), element by element.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// Gaussian error linear unit (Hendrycks and Gimpel 2016), the exact form:
///   y = x P(x),  P(x) = (1 + erf(x / sqrt 2)) / 2
///   dx = dy (P(x) + x p(x)),  p(x) = exp(-x^2 / 2) / sqrt(2 pi)
/// f32 and bf16 run on the kernels of simd/activation_kernels.hpp, f64 on the standard library.
struct Gelu {
  static constexpr std::string_view name = "gelu";
  struct Saved {
    Tensor x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Gelu>> examples();
};

/// Sigmoid linear unit, Swish with beta 1 (Elfwing et al. 2018; Ramachandran et al. 2017):
///   y = x s(x),  s(x) = 1 / (1 + exp(-x)),  dx = dy s (1 + x (1 - s))
/// Kernels as of Gelu.
struct Silu {
  static constexpr std::string_view name = "silu";
  struct Saved {
    Tensor x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Silu>> examples();
};

inline Var gelu(const Var& x) { return apply(Gelu{}, x); }
inline Var silu(const Var& x) { return apply(Silu{}, x); }

}  // namespace exciton::ops
