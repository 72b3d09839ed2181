/// Exercise 5, solved.
#pragma once
#include <cmath>

#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::Tensor;

struct Affine {
  Tensor a, b;  ///< [C]
};

inline Affine affine_of(const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                        const Tensor& var, double eps) {
  Affine out{Tensor(gamma.shape(), DType::f64), Tensor(gamma.shape(), DType::f64)};
  for (std::int64_t c = 0; c < gamma.numel(); ++c) {
    const double a = gamma.at(c) / std::sqrt(var.at(c) + eps);
    out.a.set(c, a);
    out.b.set(c, beta.at(c) - a * mean.at(c));
  }
  return out;
}

inline Tensor input_gradient(const Tensor& x, const Tensor& gamma, const Tensor& dy, double eps) {
  const std::int64_t rows = x.dim(0), channels = x.dim(1);
  const double m = static_cast<double>(rows);
  Tensor dx(x.shape(), DType::f64);
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto at = [&](const Tensor& t, std::int64_t row) { return t.at(row * channels + c); };
    double sum = 0, square = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      sum += at(x, i);
      square += at(x, i) * at(x, i);
    }
    const double mean = sum / m, rstd = 1 / std::sqrt(square / m - mean * mean + eps);
    double dbeta = 0, dgamma = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      dbeta += at(dy, i);
      dgamma += at(dy, i) * (at(x, i) - mean) * rstd;
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      const double normalised = (at(x, i) - mean) * rstd;
      dx.set(i * channels + c,
             gamma.at(c) * rstd * (at(dy, i) - dbeta / m - normalised * dgamma / m));
    }
  }
  return dx;
}

}  // namespace course
