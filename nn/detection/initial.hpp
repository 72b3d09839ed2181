/// What the parts of detectors share.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "exciton/nn/layers.hpp"

namespace exciton::nn::detection {

/// Indices as a tensor.
inline Tensor indices(const std::vector<std::int64_t>& values) {
  Tensor out({std::ssize(values)}, DType::i64);
  std::ranges::copy(values, out.data<std::int64_t>());
  return out;
}

/// Codes of boxes, one behind the other, as rows of four.
inline Tensor codes_tensor(const std::vector<float>& codes) {
  Tensor out({std::ssize(codes) / 4, 4});
  std::ranges::copy(codes, out.data<float>());
  return out;
}

}  // namespace exciton::nn::detection
