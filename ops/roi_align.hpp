/// Pooling of regions of feature maps (He et al. 2017, "Mask R-CNN", section 3), out of one map or
/// out of the levels of a pyramid.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x_l [N, H_l, W_l, C], one map a level, rois [K, 5] -> y [K, height, width, C].
/// A row of rois (f32 or f64) is the image's number and x1, y1, x2, y2 in the image's pixels;
/// region k reads the map levels[k] (i64; all the first one where it is empty) at scales[level]
/// times its corners, less half a pixel where `aligned`. It is cut into height x width bins, and
///   y[k,i,j,c] = mean over the bin's samples (v, u) of x_l[n, v, u, c], bilinear,
/// `sampling` x `sampling` samples in a regular grid, or ceil(bin size) each way where `sampling`
/// is 0. Samples more than a pixel outside of the map are 0, nearer ones are moved to its border.
/// Without `aligned` a region has at least one pixel each way (torchvision's detectors).
/// Backward: dx[n, v, u, c] = sum over regions, bins and samples of their bilinear weight times dy;
/// each element is summed by one thread in the order of the regions. Regions get no gradient.
/// Errors: ranks, maps that do not go together, an image or a level that is not there, corners that
/// are no numbers or beyond 2^20.
struct RoiAlign {
  static constexpr std::string_view name = "roi_align";
  Tensor rois;
  std::int64_t height = 7, width = 7;
  std::vector<double> scales{1};
  std::int64_t sampling = 2;
  bool aligned = false;
  Tensor levels{};

  struct Saved {
    std::vector<Form> x;
    Form y;
  };
  Tensor forward(Saved& saved, std::span<const Tensor> x) const;
  std::vector<Tensor> backward(Saved& saved, Tensor dy, std::span<const bool> needs) const;
  static std::vector<Example<RoiAlign>> examples();
};

inline Var roi_align(const std::vector<Var>& x, RoiAlign op) {
  return apply(std::move(op), std::span<const Var>(x));
}

}  // namespace exciton::ops
