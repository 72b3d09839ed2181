/// What every implementation of convolution is told: the shapes, and what follows the sum.
#pragma once
#include <cstdint>

#include "exciton/ops/convolution/conv2d.hpp"

namespace exciton::ops {

/// Everything but the number of images.
struct ConvGeometry {
  std::int64_t h = 0, w = 0, c = 0;    ///< of x
  std::int64_t o = 0, kh = 0, kw = 0;  ///< weight [o, c/groups, kh, kw]
  std::int64_t oh = 0, ow = 0;         ///< of y
  ConvSpec spec;
  DType dtype = DType::f32;  ///< of x and y: f32 or bf16; weights and their gradients are f32
  bool bias = false;
  /// Forward only: y = relu(s y + shortcut), without the parts that are false, as y is written.
  struct Epilogue {
    bool gates = false;     ///< s [O] f32, one row per image
    bool shortcut = false;  ///< like y
    bool relu = false;
    bool operator==(const Epilogue&) const = default;
  } epilogue{};
  std::int64_t below = -1;  ///< rows of padding under x; negative: as many as above
  bool operator==(const ConvGeometry&) const = default;

  std::int64_t x_image() const { return h * w * c; }  ///< elements of one image of x
  std::int64_t y_image() const { return oh * ow * o; }
};

/// Errors: as conv2d.
inline ConvGeometry geometry_of(const Shape& x, const Shape& w, const ConvSpec& spec, DType dtype,
                                bool bias) {
  const Shape y = conv2d_shape(x, w, spec);
  return {x[1], x[2], x[3], w[0], w[2], w[3], y[1], y[2], spec, dtype, bias};
}

enum class Direction { forward, backward_data, backward_weights };

/// What the epilogue of a forward pass reads; null where it has no such part.
struct EpilogueInputs {
  const float* gates = nullptr;    ///< [images, O]
  const void* shortcut = nullptr;  ///< like y
};

}  // namespace exciton::ops
