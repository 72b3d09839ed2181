/// Exercise 6, solved.
#pragma once
#include <algorithm>
#include <cmath>

#include "exciton/core/tensor.hpp"

namespace course {

using exciton::DType, exciton::Tensor;

/// out[o] = sum over i of w[o,i] in[i].
inline std::vector<double> layer(const Tensor& w, const std::vector<double>& in) {
  std::vector<double> out(static_cast<std::size_t>(w.dim(0)), 0.0);
  for (std::size_t o = 0; o < out.size(); ++o)
    for (std::size_t i = 0; i < in.size(); ++i)
      out[o] += w.at(static_cast<std::int64_t>(o * in.size() + i)) * in[i];
  return out;
}

inline Tensor squeeze_excite(const Tensor& x, const Tensor& w1, const Tensor& w2) {
  const std::int64_t images = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  Tensor y(x.shape(), DType::f64);
  for (std::int64_t n = 0; n < images; ++n) {
    const std::int64_t image = n * pixels * channels;
    std::vector<double> z(static_cast<std::size_t>(channels), 0.0);
    for (std::int64_t i = 0; i < pixels * channels; ++i)
      z[static_cast<std::size_t>(i % channels)] += x.at(image + i) / static_cast<double>(pixels);
    std::vector<double> h = layer(w1, z);
    for (double& v : h) v = std::max(v, 0.0);
    std::vector<double> s = layer(w2, h);
    for (double& v : s) v = 1 / (1 + std::exp(-v));
    for (std::int64_t i = 0; i < pixels * channels; ++i)
      y.set(image + i, x.at(image + i) * s[static_cast<std::size_t>(i % channels)]);
  }
  return y;
}

inline Tensor gate_gradient(const Tensor& x, const Tensor& dy) {
  const std::int64_t pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  Tensor ds = Tensor::zeros({x.dim(0), channels}, DType::f64);
  double* to = ds.data<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i)
    to[i / (pixels * channels) * channels + i % channels] += dy.at(i) * x.at(i);
  return ds;
}

}  // namespace course
