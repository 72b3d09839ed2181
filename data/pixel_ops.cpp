#include "exciton/data/pixel_ops.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "exciton/core/error.hpp"

namespace exciton::data {
namespace {

using Table = std::array<std::uint8_t, 256>;

std::uint8_t clipped(double value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
}

/// A grey level: 0.299 R + 0.587 G + 0.114 B.
int grey_of(const std::uint8_t* pixel, std::int64_t channels) {
  return channels == 3 ? (299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2] + 500) / 1000 : pixel[0];
}

/// from + factor (value - from)
std::uint8_t away_from(double from, std::uint8_t value, double factor) {
  return clipped(from + factor * (value - from));
}

template <class F>
Table table_of(F&& f) {
  Table table;
  for (int v = 0; v < 256; ++v) table[static_cast<std::size_t>(v)] = clipped(f(v));
  return table;
}

void look_up(Image& image, const Table& table) {
  for (std::uint8_t& v : image.pixels) v = table[v];
}

/// Each channel through a table made from its histogram.
template <class F>
void look_up_channels(Image& image, F&& table_from) {
  const auto c = static_cast<std::size_t>(image.channels);
  for (std::size_t channel = 0; channel < c; ++channel) {
    std::array<std::int64_t, 256> histogram{};
    for (std::size_t i = channel; i < image.pixels.size(); i += c) ++histogram[image.pixels[i]];
    const Table table = table_from(histogram);
    for (std::size_t i = channel; i < image.pixels.size(); i += c)
      image.pixels[i] = table[image.pixels[i]];
  }
}

Table identity() {
  return table_of([](int v) { return v; });
}

}  // namespace

void change_brightness(Image& image, double factor) {
  look_up(image, table_of([&](int v) { return v * factor; }));
}

void change_contrast(Image& image, double factor) {
  std::int64_t sum = 0;
  const auto c = static_cast<std::size_t>(image.channels);
  for (std::size_t i = 0; i + c <= image.pixels.size(); i += c)
    sum += grey_of(&image.pixels[i], image.channels);
  const std::int64_t count = std::max<std::int64_t>(1, image.height * image.width);
  const double mean = std::floor(static_cast<double>(sum) / static_cast<double>(count) + 0.5);
  look_up(image, table_of([&](int v) { return mean + factor * (v - mean); }));
}

void change_saturation(Image& image, double factor) {
  if (image.channels != 3) return;
  for (std::size_t i = 0; i + 3 <= image.pixels.size(); i += 3) {
    const int grey = grey_of(&image.pixels[i], 3);
    for (std::size_t c = 0; c < 3; ++c)
      image.pixels[i + c] = away_from(grey, image.pixels[i + c], factor);
  }
}

void change_sharpness(Image& image, double factor) {
  const Image old = image;  // the border has no blur, and stays as it is
  const std::int64_t c = image.channels, stride = image.width * c;
  for (std::int64_t y = 1; y + 1 < image.height; ++y)
    for (std::int64_t i = y * stride + c; i < (y + 1) * stride - c; ++i) {
      const std::uint8_t* p = old.pixels.data() + i;
      int sum = 4 * p[0];  // the centre counts 5, its neighbours 1
      for (const std::int64_t row : {-stride, std::int64_t{0}, stride})
        sum += p[row - c] + p[row] + p[row + c];
      image.pixels[static_cast<std::size_t>(i)] =
          away_from(std::floor(sum / 13.0 + 0.5), p[0], factor);
    }
}

void change_hue(Image& image, double turns) {
  if (image.channels != 3) return;
  for (std::size_t i = 0; i + 3 <= image.pixels.size(); i += 3) {
    std::uint8_t* p = &image.pixels[i];
    const double r = p[0], g = p[1], b = p[2];
    const double high = std::max({r, g, b}), range = high - std::min({r, g, b});
    if (range == 0) continue;
    const double sixth = high == r   ? (g - b) / range  // where on the circle, in sixths
                         : high == g ? 2 + (b - r) / range
                                     : 4 + (r - g) / range;
    const double hue = sixth + 6 * turns;
    // Each channel is a trapezoid along the circle, a third of a turn after the one before.
    for (const int c : {0, 1, 2}) {
      const double at = std::fmod(hue + (c == 0 ? 5 : c == 1 ? 3 : 1) + 12, 6.0);
      const double down = std::clamp(std::min(at, 4 - at), 0.0, 1.0);
      p[c] = clipped(high - range * down + 0.5);
    }
  }
}

void posterize(Image& image, int bits) {
  check(bits >= 1 && bits <= 8, "posterize: expected 1 to 8 bits, got ", bits);
  const int mask = 0xff & ~((1 << (8 - bits)) - 1);
  look_up(image, table_of([&](int v) { return v & mask; }));
}

void solarize(Image& image, int threshold) {
  look_up(image, table_of([&](int v) { return v < threshold ? v : 255 - v; }));
}

void stretch_contrast(Image& image) {
  look_up_channels(image, [](const auto& histogram) {
    int low = 0, high = 255;
    while (low < 255 && histogram[static_cast<std::size_t>(low)] == 0) ++low;
    while (high > 0 && histogram[static_cast<std::size_t>(high)] == 0) --high;
    if (high <= low) return identity();
    const double scale = 255.0 / (high - low);
    return table_of([&](int v) { return (v - low) * scale + 1e-9; });
  });
}

void equalize(Image& image) {
  look_up_channels(image, [](const auto& histogram) {
    std::int64_t sum = 0, last = 0;
    for (const std::int64_t count : histogram) {
      sum += count;
      if (count > 0) last = count;
    }
    const std::int64_t step = (sum - last) / 255;
    if (step == 0) return identity();
    std::int64_t seen = step / 2;
    Table table;
    for (std::size_t v = 0; v < table.size(); ++v) {
      table[v] = static_cast<std::uint8_t>(std::min<std::int64_t>(255, seen / step));
      seen += histogram[v];
    }
    return table;
  });
}

void transform(Image& image, const Affine& m, const Colour& fill) {
  const Image old = image;
  const std::int64_t h = image.height, w = image.width, c = image.channels;
  std::uint8_t* to = image.pixels.data();
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x, to += c) {
      const double px = static_cast<double>(x) + 0.5, py = static_cast<double>(y) + 0.5;
      const double fx = m[0] * px + m[1] * py + m[2], fy = m[3] * px + m[4] * py + m[5];
      if (!(fx >= 0 && fy >= 0 && fx < static_cast<double>(w) && fy < static_cast<double>(h))) {
        std::copy_n(fill.begin(), c, to);
        continue;
      }
      const double left = std::floor(fx - 0.5), top = std::floor(fy - 0.5);
      const double dx = fx - 0.5 - left, dy = fy - 0.5 - top;
      const auto column = [&](double at) {
        return std::clamp<std::int64_t>(static_cast<std::int64_t>(at), 0, w - 1) * c;
      };
      const auto row = [&](double at) {
        return old.pixels.data() +
               std::clamp<std::int64_t>(static_cast<std::int64_t>(at), 0, h - 1) * w * c;
      };
      const std::int64_t x0 = column(left), x1 = column(left + 1);
      const std::uint8_t *above = row(top), *below = row(top + 1);
      for (std::int64_t k = 0; k < c; ++k) {
        const double a = above[x0 + k] + dx * (above[x1 + k] - above[x0 + k]);
        const double b = below[x0 + k] + dx * (below[x1 + k] - below[x0 + k]);
        to[k] = clipped(a + dy * (b - a));
      }
    }
}

void rotate(Image& image, double degrees, const Colour& fill) {
  const double angle = degrees * std::numbers::pi / 180;
  const double c = std::cos(angle), s = std::sin(angle);
  const double x = static_cast<double>(image.width) / 2, y = static_cast<double>(image.height) / 2;
  transform(image, {c, -s, x - c * x + s * y, s, c, y - s * x - c * y}, fill);
}

}  // namespace exciton::data
