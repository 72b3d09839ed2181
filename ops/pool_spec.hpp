/// Windows of max and average pooling.
#pragma once
#include <cstdint>
#include <string_view>

#include "exciton/core/shape.hpp"

namespace exciton::ops {

struct PoolSpec {
  std::int64_t kernel = 2, stride = 2, padding = 0;
  /// Round the output size up, as Caffe does: the last window may hang over the edge, but starts
  /// inside the image or its left padding.
  bool ceil_mode = false;
  /// Averages only: padding counts as zeros; else the mean is over pixels of the image.
  bool count_include_pad = true;
};

/// The windows over an [N, H, W, C] image and the shape of the result [N, H', W', C]:
///   H' = floor or ceil of (H + 2 padding - kernel) / stride, + 1
struct PoolWindows {
  PoolSpec spec;
  std::int64_t n, h, w, c, oh, ow;

  /// Errors: rank, sizes below one, padding above kernel / 2, an output without pixels.
  PoolWindows(std::string_view name, const Shape& x, const PoolSpec& pool);
  Shape result() const { return {n, oh, ow, c}; }

  struct Range {
    std::int64_t begin, end;
  };
  /// The pixels of window i along an axis of `extent` pixels, cut to the image.
  Range pixels(std::int64_t i, std::int64_t extent) const;
  /// The windows (of `count` along the axis) that see pixel r.
  Range windows(std::int64_t r, std::int64_t count) const;
  /// Rows of so many elements that are worth a thread.
  std::int64_t grain(std::int64_t row_elements) const;
};

}  // namespace exciton::ops
