/// Exercise 4, solved.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::Shape, exciton::Tensor;

/// f(place in x, place in w, place in y) for every product of the sum.
template <class F>
void each_product(const Shape& x, const Shape& w, const Shape& y, std::int64_t padding, F f) {
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t i = 0; i < y[1]; ++i)
      for (std::int64_t j = 0; j < y[2]; ++j)
        for (std::int64_t o = 0; o < y[3]; ++o)
          for (std::int64_t c = 0; c < w[1]; ++c)
            for (std::int64_t a = 0; a < w[2]; ++a)
              for (std::int64_t b = 0; b < w[3]; ++b) {
                const std::int64_t row = i - padding + a, column = j - padding + b;
                if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
                f(((n * x[1] + row) * x[2] + column) * x[3] + c,
                  ((o * w[1] + c) * w[2] + a) * w[3] + b, ((n * y[1] + i) * y[2] + j) * y[3] + o);
              }
}

inline Tensor convolution(const Tensor& x, const Tensor& w, std::int64_t padding) {
  const Shape out{x.dim(0), x.dim(1) + 2 * padding - w.dim(2) + 1,
                  x.dim(2) + 2 * padding - w.dim(3) + 1, w.dim(0)};
  Tensor y = Tensor::zeros(out, DType::f64);
  const double *xp = x.data<double>(), *wp = w.data<double>();
  double* yp = y.data<double>();
  each_product(x.shape(), w.shape(), out, padding,
               [&](auto in, auto weight, auto to) { yp[to] += xp[in] * wp[weight]; });
  return y;
}

/// Every product x w that was added to y hands dy x to its w.
inline Tensor weight_gradient(const Tensor& x, const Tensor& dy, const Shape& w,
                              std::int64_t padding) {
  Tensor dw = Tensor::zeros(w, DType::f64);
  const double *xp = x.data<double>(), *dp = dy.data<double>();
  double* gp = dw.data<double>();
  each_product(x.shape(), w, dy.shape(), padding,
               [&](auto in, auto weight, auto to) { gp[weight] += xp[in] * dp[to]; });
  return dw;
}

}  // namespace course
