#include "data/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace exciton::data {
namespace {

/// The input pixels that every output pixel sees along an axis, and how much of each.
struct Filter {
  std::int64_t taps;                ///< weights kept for each output pixel; unused ones are 0
  std::vector<std::int64_t> first;  ///< [outputs], so that first + count never passes the end
  std::vector<std::int64_t> count;  ///< [outputs]
  std::vector<float> weights;       ///< [outputs, taps], each row of sum 1
};

Filter make_filter(std::int64_t pixels, double begin, double extent, std::int64_t outputs) {
  const double scale = extent / static_cast<double>(outputs);
  const double support = std::max(1.0, scale);
  Filter out;
  out.taps = 2 * static_cast<std::int64_t>(std::ceil(support)) + 1;
  out.weights.resize(static_cast<std::size_t>(outputs * out.taps));
  for (std::int64_t i = 0; i < outputs; ++i) {
    const double centre = begin + (static_cast<double>(i) + 0.5) * scale;
    const auto near = [&](double at) {
      return std::clamp(static_cast<std::int64_t>(std::floor(at + 0.5)), std::int64_t{0}, pixels);
    };
    const std::int64_t first = std::min(near(centre - support), pixels - 1);
    const std::int64_t last = std::max(near(centre + support), first + 1);
    float* weights = &out.weights[static_cast<std::size_t>(i * out.taps)];
    double sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / support;
      weights[k - first] = static_cast<float>(std::max(0.0, 1.0 - distance));
      sum += static_cast<double>(weights[k - first]);
    }
    for (std::int64_t k = first; k < last; ++k)
      weights[k - first] = static_cast<float>(weights[k - first] / sum);
    out.first.push_back(first);
    out.count.push_back(last - first);
  }
  return out;
}

std::uint8_t rounded(float value) {
  return static_cast<std::uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
}

/// row[i] = sum over k of weights[k] * from[k * stride + i]: one output row, input columns.
void filter_down(const std::uint8_t* from, std::int64_t stride, const float* weights,
                 std::int64_t count, std::int64_t values, float* row) {
  std::fill(row, row + values, 0.0f);
  for (std::int64_t k = 0; k < count; ++k) {
    const std::uint8_t* in = from + k * stride;
    const float w = weights[k];
#pragma omp simd
    for (std::int64_t i = 0; i < values; ++i) row[i] += w * static_cast<float>(in[i]);
  }
}

/// One output row from the filtered input columns.
template <std::int64_t channels>
void filter_across(const float* row, const Filter& across, std::int64_t shift, std::int64_t width,
                   std::uint8_t* out) {
  // Four lanes whatever the channels are: the lanes beyond read the next pixel and are not stored.
  using Lanes = float __attribute__((vector_size(16)));
  for (std::int64_t x = 0; x < width; ++x) {
    const float* weights = &across.weights[static_cast<std::size_t>(x * across.taps)];
    const float* from = row + (across.first[static_cast<std::size_t>(x)] - shift) * channels;
    Lanes sum{};
    for (std::int64_t k = 0; k < across.count[static_cast<std::size_t>(x)]; ++k) {
      Lanes values;
      std::memcpy(&values, from + k * channels, sizeof values);
      sum += weights[k] * values;
    }
    for (std::int64_t c = 0; c < channels; ++c) out[x * channels + c] = rounded(sum[c]);
  }
}

}  // namespace

void resize(const Image& image, const Box& box, std::int64_t height, std::int64_t width,
            Image& out) {
  constexpr double slack = 1e-6;  // borders that were computed
  check(height > 0 && width > 0 && box.width > 0 && box.height > 0, "resize: ", box.height, " x ",
        box.width, " to ", height, " x ", width, "; wants sizes above 0");
  check(box.left >= -slack && box.top >= -slack &&
            box.left + box.width <= static_cast<double>(image.width) + slack &&
            box.top + box.height <= static_cast<double>(image.height) + slack,
        "resize: the box from (", box.top, ", ", box.left, ") of ", box.height, " x ", box.width,
        " leaves the image of ", image.height, " x ", image.width);
  const std::int64_t c = image.channels;
  check(c >= 1 && c <= 3, "resize: wants 1 to 3 channels, got ", c);
  const Filter down = make_filter(image.height, box.top, box.height, height);
  const Filter across = make_filter(image.width, box.left, box.width, width);
  const std::int64_t first = across.first.front();
  const std::int64_t columns = across.first.back() + across.count.back() - first;
  std::vector<float> row(static_cast<std::size_t>(columns * c + 4));  // + 4: see filter_across
  out.height = height;
  out.width = width;
  out.channels = c;
  out.pixels.resize(static_cast<std::size_t>(height * width * c));
  for (std::int64_t y = 0; y < height; ++y) {
    const auto i = static_cast<std::size_t>(y);
    filter_down(image.pixels.data() + (down.first[i] * image.width + first) * c, image.width * c,
                &down.weights[static_cast<std::size_t>(y * down.taps)], down.count[i], columns * c,
                row.data());
    std::uint8_t* to = out.pixels.data() + y * width * c;
    if (c == 3)
      filter_across<3>(row.data(), across, first, width, to);
    else if (c == 1)
      filter_across<1>(row.data(), across, first, width, to);
    else
      filter_across<2>(row.data(), across, first, width, to);
  }
}

Image resize(const Image& image, const Box& box, std::int64_t height, std::int64_t width) {
  Image out;
  resize(image, box, height, width, out);
  return out;
}

Image resize(const Image& image, std::int64_t height, std::int64_t width) {
  if (image.height == height && image.width == width) return image;
  return resize(image, {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)},
                height, width);
}

Size with_shorter_side(Size size, std::int64_t shorter) {
  check(size.height > 0 && size.width > 0 && shorter > 0, "resize: the shorter side of ",
        size.height, " x ", size.width, " to ", shorter, "; wants sizes above 0");
  return size.height <= size.width ? Size{shorter, shorter * size.width / size.height}
                                   : Size{shorter * size.height / size.width, shorter};
}

Image centre_crop(const Image& image, std::int64_t height, std::int64_t width) {
  check(height > 0 && width > 0 && height <= image.height && width <= image.width,
        "centre crop: wants ", height, " x ", width, " of an image of ", image.height, " x ",
        image.width);
  const std::int64_t top = (image.height - height) / 2, left = (image.width - width) / 2;
  Image out{height, width, image.channels, {}};
  out.pixels.reserve(static_cast<std::size_t>(height * width * image.channels));
  for (std::int64_t y = 0; y < height; ++y) {
    const auto from = image.pixels.begin() + ((top + y) * image.width + left) * image.channels;
    out.pixels.insert(out.pixels.end(), from, from + width * image.channels);
  }
  return out;
}

Box centre_box(Size size, std::int64_t shorter, std::int64_t crop) {
  const Size resized = with_shorter_side(size, shorter);
  check(crop > 0 && crop <= shorter, "centre crop: wants 1 to ", shorter, " pixels, got ", crop);
  const double down = static_cast<double>(size.height) / static_cast<double>(resized.height);
  const double across = static_cast<double>(size.width) / static_cast<double>(resized.width);
  const auto side = static_cast<double>(crop);
  return {static_cast<double>((resized.width - crop) / 2) * across,
          static_cast<double>((resized.height - crop) / 2) * down, side * across, side * down};
}

}  // namespace exciton::data
