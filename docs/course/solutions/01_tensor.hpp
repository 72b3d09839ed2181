/// Exercise 1, solved.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::Shape, exciton::Tensor;

inline std::int64_t offset(const Shape& shape, std::int64_t n, std::int64_t h, std::int64_t w,
                           std::int64_t c) {
  return ((n * shape[1] + h) * shape[2] + w) * shape[3] + c;
}

inline Tensor channel_means(const Tensor& images) {
  const std::int64_t channels = images.dim(3), pixels = images.numel() / channels;
  Tensor means({channels});
  const float* x = images.data<float>();
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::int64_t p = 0; p < pixels; ++p) sum += x[p * channels + c];
    means.set(c, sum / static_cast<double>(pixels));
  }
  return means;
}

}  // namespace course
