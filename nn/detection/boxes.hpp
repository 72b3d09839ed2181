/// Boxes of detection: overlap, the code in which networks regress them, suppression.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace exciton::nn::detection {

/// A rectangle by its corners in pixels, x to the right, y down; x2 and y2 are beyond its last
/// pixel.
struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
  float area() const { return width() * height(); }
  bool operator==(const Box&) const = default;
};

/// Height and width of an image in pixels.
struct ImageSize {
  std::int64_t height = 0, width = 0;
};

/// Area of the intersection over that of the union; 0 where they do not meet or have no area.
float iou(const Box& a, const Box& b);

/// [a, b]: iou(a, b), row-major.
std::vector<float> iou_matrix(std::span<const Box> a, std::span<const Box> b);

/// The box moved onto the image.
Box clip(const Box& box, ImageSize image);

/// The code of Girshick et al. 2014, appendix C: relative to a box with centre (x, y), width w and
/// height h, another one (x', y', w', h') is
///   wx (x' - x) / w,   wy (y' - y) / h,   ww log(w' / w),   wh log(h' / h)
/// with weights (1, 1, 1, 1) for proposals and (10, 10, 5, 5) for detections. Decoding takes no
/// logarithm above log(1000 / 16), so that no random network overflows.
struct BoxCoder {
  std::array<float, 4> weights{1, 1, 1, 1};
  std::array<float, 4> encode(const Box& box, const Box& relative_to) const;
  Box decode(std::span<const float, 4> code, const Box& relative_to) const;
};

/// Greedy suppression of what overlaps: boxes from the highest score down, ties by index; a box
/// goes when a kept one has an IoU above `threshold` with it. Returns what is kept, in that order.
std::vector<std::int64_t> nms(std::span<const Box> boxes, std::span<const float> scores,
                              double threshold);
/// The same among the boxes of each class (or level); classes do not suppress one another.
std::vector<std::int64_t> nms_by_class(std::span<const Box> boxes, std::span<const float> scores,
                                       std::span<const std::int64_t> classes, double threshold);

/// Indices of the `count` highest scores (or of all), the highest first, ties by index; NaN counts
/// as lowest.
std::vector<std::int64_t> highest(std::span<const float> scores, std::int64_t count);

}  // namespace exciton::nn::detection
