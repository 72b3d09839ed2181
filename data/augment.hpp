/// From decoded pixels to network input: normalisation, and the CIFAR augmentations.
#pragma once
#include <array>
#include <cstdint>

#include "core/random.hpp"
#include "core/tensor.hpp"
#include "data/dataset.hpp"

namespace exciton::data {

/// Applied in this order: zero-pad and random crop, horizontal flip, normalise, cutout.
struct Augment {
  std::int64_t pad = 0;     ///< zero-pad (after normalisation's mean: pixels of value 0) each side, crop back at random
  bool flip = false;        ///< mirror left-right with probability 1/2
  std::int64_t cutout = 0;  ///< side of one square set to 0 after normalisation (DeVries and Taylor 2017); 0: none
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};  ///< per channel, of pixels scaled to 0..1

  /// Writes image `in` as row-major [H, W, C] to `out` (H, W, C of the image itself).
  void operator()(const Image& in, Generator& rng, float* out) const;
};

}  // namespace exciton::data
