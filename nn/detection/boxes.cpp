#include "exciton/nn/detection/boxes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "exciton/core/error.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::nn::detection {

float iou(const Box& a, const Box& b) {
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (!(w > 0 && h > 0)) return 0;
  const float both = w * h;
  return both / (a.area() + b.area() - both);
}

std::vector<float> iou_matrix(std::span<const Box> a, std::span<const Box> b) {
  std::vector<float> out(a.size() * b.size());
  parallel_for(std::ssize(b), 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t i = 0; i < a.size(); ++i)
      for (auto j = static_cast<std::size_t>(begin); j < static_cast<std::size_t>(end); ++j)
        out[i * b.size() + j] = iou(a[i], b[j]);
  });
  return out;
}

Box clip(const Box& box, ImageSize image) {
  const auto w = static_cast<float>(image.width), h = static_cast<float>(image.height);
  return {std::clamp(box.x1, 0.0f, w), std::clamp(box.y1, 0.0f, h), std::clamp(box.x2, 0.0f, w),
          std::clamp(box.y2, 0.0f, h)};
}

std::array<float, 4> BoxCoder::encode(const Box& box, const Box& relative_to) const {
  const float w = relative_to.width(), h = relative_to.height();
  const float x = relative_to.x1 + 0.5f * w, y = relative_to.y1 + 0.5f * h;
  const float own_x = box.x1 + 0.5f * box.width(), own_y = box.y1 + 0.5f * box.height();
  return {weights[0] * (own_x - x) / w, weights[1] * (own_y - y) / h,
          weights[2] * std::log(box.width() / w), weights[3] * std::log(box.height() / h)};
}

Box BoxCoder::decode(std::span<const float, 4> code, const Box& relative_to) const {
  const float most = std::log(1000.0f / 16);
  const float w = relative_to.width(), h = relative_to.height();
  const float x = code[0] / weights[0] * w + (relative_to.x1 + 0.5f * w);
  const float y = code[1] / weights[1] * h + (relative_to.y1 + 0.5f * h);
  const float half_w = 0.5f * std::exp(std::min(code[2] / weights[2], most)) * w;
  const float half_h = 0.5f * std::exp(std::min(code[3] / weights[3], most)) * h;
  return {x - half_w, y - half_h, x + half_w, y + half_h};
}

std::vector<std::int64_t> highest(std::span<const float> scores, std::int64_t count) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto first = [&](std::int64_t a, std::int64_t b) {
    const float x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    return x > y || (!(y > x) && a < b);
  };
  const auto kept = std::clamp<std::int64_t>(count, 0, std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), first);
  order.resize(static_cast<std::size_t>(kept));
  return order;
}

std::vector<std::int64_t> nms_by_class(std::span<const Box> boxes, std::span<const float> scores,
                                       std::span<const std::int64_t> classes, double threshold) {
  check(boxes.size() == scores.size() && (classes.empty() || boxes.size() == classes.size()),
        "nms: ", boxes.size(), " boxes, ", scores.size(), " scores and ", classes.size(),
        " classes, expected one of each");
  std::vector<std::int64_t> kept;
  std::vector<bool> gone(boxes.size());
  const std::vector<std::int64_t> order = highest(scores, std::ssize(scores));
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto a = static_cast<std::size_t>(order[i]);
    if (gone[a]) continue;
    kept.push_back(order[i]);
    for (std::size_t j = i + 1; j < order.size(); ++j) {
      const auto b = static_cast<std::size_t>(order[j]);
      if (!gone[b] && (classes.empty() || classes[a] == classes[b]))
        gone[b] = static_cast<double>(iou(boxes[a], boxes[b])) > threshold;
    }
  }
  return kept;
}

std::vector<std::int64_t> nms(std::span<const Box> boxes, std::span<const float> scores,
                              double threshold) {
  return nms_by_class(boxes, scores, {}, threshold);
}

}  // namespace exciton::nn::detection
