#include "apps/resize.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace exciton::apps {
namespace {

/// The input pixels that one output pixel sees along an axis, and how much of each.
struct Window {
  std::int64_t first;
  std::vector<float> weights;
};

std::vector<Window> windows(std::int64_t from, std::int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(1.0, scale);
  std::vector<Window> out;
  for (std::int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, std::llround(centre - support));
    const auto last = std::min<std::int64_t>(from, std::llround(centre + support));
    Window window{first, {}};
    double sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / support;
      window.weights.push_back(static_cast<float>(std::max(0.0, 1.0 - distance)));
      sum += window.weights.back();
    }
    for (float& w : window.weights) w = static_cast<float>(w / sum);
    out.push_back(std::move(window));
  }
  return out;
}

}  // namespace

data::Image resize(const data::Image& image, std::int64_t height, std::int64_t width) {
  check(height > 0 && width > 0 && image.height > 0 && image.width > 0, "resize: ", image.height,
        "x", image.width, " to ", height, "x", width);
  if (image.height == height && image.width == width) return image;
  const std::int64_t c = image.channels;
  // Rows first, so that the intermediate image is as narrow as the result.
  std::vector<float> rows(static_cast<std::size_t>(image.height * width * c), 0.0f);
  const std::vector<Window> across = windows(image.width, width);
  for (std::int64_t y = 0; y < image.height; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      const Window& window = across[static_cast<std::size_t>(x)];
      float* to = &rows[static_cast<std::size_t>((y * width + x) * c)];
      for (std::size_t k = 0; k < window.weights.size(); ++k) {
        const std::int64_t column = window.first + static_cast<std::int64_t>(k);
        const std::uint8_t* from =
            &image.pixels[static_cast<std::size_t>((y * image.width + column) * c)];
        for (std::int64_t i = 0; i < c; ++i) to[i] += window.weights[k] * from[i];
      }
    }
  data::Image out{height, width, c,
                  std::vector<std::uint8_t>(static_cast<std::size_t>(height * width * c))};
  const std::vector<Window> down = windows(image.height, height);
  for (std::int64_t y = 0; y < height; ++y) {
    const Window& window = down[static_cast<std::size_t>(y)];
    for (std::int64_t i = 0; i < width * c; ++i) {
      float sum = 0;
      for (std::size_t k = 0; k < window.weights.size(); ++k)
        sum +=
            window.weights[k] * rows[static_cast<std::size_t>(
                                    (window.first + static_cast<std::int64_t>(k)) * width * c + i)];
      out.pixels[static_cast<std::size_t>(y * width * c + i)] =
          static_cast<std::uint8_t>(std::clamp(std::lround(sum), 0L, 255L));
    }
  }
  return out;
}

}  // namespace exciton::apps
