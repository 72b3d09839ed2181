/// The values that tests/golden/*.py give to weights and images.
#pragma once
#include <cstdint>

#include "exciton/core/tensor.hpp"

namespace exciton::nn {

/// offset + factor * noise, the script's noise(count, key).
inline Tensor noise(const Shape& shape, std::uint32_t key, double factor, double offset = 0) {
  Tensor out(shape, DType::f64);
  auto values = out.span<double>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t h = static_cast<std::uint32_t>(i + 1) * 2654435761U + (key + 1) * 2246822519U;
    h = (h ^ (h >> 16)) * 2246822507U;
    h = (h ^ (h >> 13)) * 3266489909U;
    h ^= h >> 16;
    values[i] = offset + factor * (h / 2147483648.0 - 1);
  }
  return out;
}

}  // namespace exciton::nn
