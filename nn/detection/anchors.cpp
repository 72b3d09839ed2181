#include "exciton/nn/detection/anchors.hpp"

#include <cmath>

#include "exciton/core/error.hpp"

namespace exciton::nn::detection {

std::vector<Box> anchors_of_level(double size, const std::vector<double>& ratios, ImageSize map,
                                  ImageSize padded) {
  check(size > 0, "anchors: sizes must be above 0, got ", size);
  check(
      map.height >= 1 && map.width >= 1 && map.height <= padded.height && map.width <= padded.width,
      "anchors: a map of ", map.height, " x ", map.width, " is none of images of ", padded.height,
      " x ", padded.width);
  std::vector<Box> shapes;
  for (const double ratio : ratios) {
    check(ratio > 0, "anchors: ratios must be above 0, got ", ratio);
    const auto root = std::sqrt(static_cast<float>(ratio));
    const float h = root * static_cast<float>(size), w = 1 / root * static_cast<float>(size);
    shapes.push_back({std::nearbyint(-w / 2), std::nearbyint(-h / 2), std::nearbyint(w / 2),
                      std::nearbyint(h / 2)});
  }
  const std::int64_t down = padded.height / map.height, right = padded.width / map.width;
  std::vector<Box> out;
  out.reserve(static_cast<std::size_t>(map.height * map.width) * shapes.size());
  for (std::int64_t i = 0; i < map.height; ++i)
    for (std::int64_t j = 0; j < map.width; ++j) {
      const auto x = static_cast<float>(j * right), y = static_cast<float>(i * down);
      for (const Box& s : shapes) out.push_back({x + s.x1, y + s.y1, x + s.x2, y + s.y2});
    }
  return out;
}

}  // namespace exciton::nn::detection
