/// Exercise 1: where the values of an image batch lie in memory.
#pragma once
#include "exciton/core/tensor.hpp"

namespace course {

using exciton::fail, exciton::Shape, exciton::Tensor;

/// The place of element [n, h, w, c] in the memory of a tensor of shape [N, H, W, C]: rows follow
/// one another, and the last axis moves fastest.
inline std::int64_t offset(const Shape& shape, std::int64_t n, std::int64_t h, std::int64_t w,
                           std::int64_t c) {
  fail("exercise 1: offset() is not written yet");
}

/// images [N, H, W, C] (f32) -> the mean of every channel over all images and pixels, [C] (f32).
/// Keep the sum in double: a float has seven digits, and there may be millions of pixels.
inline Tensor channel_means(const Tensor& images) {
  fail("exercise 1: channel_means() is not written yet");
}

}  // namespace course
