#include "exciton/data/resize.hpp"

#include <emmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

namespace exciton::data {
namespace {

// Fixed point. Weights have 14 bits behind the point; what the first pass hands to the second has
// 6, so that 255 fits into 16 bits, and products are summed in 32.
constexpr int weight_bits = 14, row_bits = 6;

/// The input pixels that every output pixel sees along an axis, and how much of each.
struct Filter {
  std::int64_t taps;                ///< weights kept for each output pixel, even; unused ones are 0
  std::vector<std::int64_t> first;  ///< [outputs]
  std::vector<std::int64_t> count;  ///< [outputs]; first + count never passes the end
  std::vector<std::int16_t> weights;  ///< [outputs, taps], each row of sum 1

  const std::int16_t* of(std::int64_t output) const { return weights.data() + output * taps; }
};

/// Weights in fixed point whose sum is exactly 1; the largest takes what rounding left over.
void store_weights(const std::vector<double>& weights, std::int16_t* out) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  constexpr int one = 1 << weight_bits;
  int left = one;
  std::size_t largest = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    out[k] = static_cast<std::int16_t>(std::lround(weights[k] / sum * one));
    left -= out[k];
    if (weights[k] > weights[largest]) largest = k;
  }
  out[largest] = static_cast<std::int16_t>(out[largest] + left);
}

Filter make_filter(std::int64_t pixels, double begin, double extent, std::int64_t outputs) {
  const double scale = extent / static_cast<double>(outputs);
  const double support = std::max(1.0, scale);
  Filter out;
  out.taps = 2 * static_cast<std::int64_t>(std::ceil(support)) + 2;
  out.weights.resize(static_cast<std::size_t>(outputs * out.taps));
  std::vector<double> weights;
  for (std::int64_t i = 0; i < outputs; ++i) {
    const double centre = begin + (static_cast<double>(i) + 0.5) * scale;
    const auto near = [&](double at) {
      return std::clamp(static_cast<std::int64_t>(std::floor(at + 0.5)), std::int64_t{0}, pixels);
    };
    const std::int64_t first = std::min(near(centre - support), pixels - 1);
    const std::int64_t last = std::max(near(centre + support), first + 1);
    weights.clear();
    for (std::int64_t k = first; k < last; ++k)
      weights.push_back(
          std::max(1e-9, 1 - std::abs(static_cast<double>(k) + 0.5 - centre) / support));
    store_weights(weights, out.weights.data() + i * out.taps);
    out.first.push_back(first);
    out.count.push_back(last - first);
  }
  return out;
}

/// Two weights in each 32-bit lane, as _mm_madd_epi16 multiplies them.
__m128i two_weights(const std::int16_t* weights) {
  std::int32_t both;
  std::memcpy(&both, weights, sizeof both);
  return _mm_set1_epi32(both);
}

/// row[i] = sum over k of weights[k] * from[k * stride + i]: one output row, input columns. Rows
/// are taken two at a time, 16 values at a time; the odd row is its own partner, of weight 0.
void filter_down(const std::uint8_t* from, std::int64_t stride, const std::int16_t* weights,
                 std::int64_t count, std::int64_t values, std::int16_t* row) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i half = _mm_set1_epi32(1 << (weight_bits - row_bits - 1));
  std::int64_t i = 0;
  for (; i + 16 <= values; i += 16) {
    __m128i sums[4] = {half, half, half, half};
    for (std::int64_t k = 0; k < count; k += 2) {
      const std::uint8_t* a = from + k * stride + i;
      const std::uint8_t* b = k + 1 < count ? a + stride : a;
      const __m128i w = two_weights(weights + k);
      const __m128i va = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
      const __m128i vb = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
      const __m128i low = _mm_unpacklo_epi8(va, vb), high = _mm_unpackhi_epi8(va, vb);
      const __m128i pairs[4] = {_mm_unpacklo_epi8(low, zero), _mm_unpackhi_epi8(low, zero),
                                _mm_unpacklo_epi8(high, zero), _mm_unpackhi_epi8(high, zero)};
      for (int j = 0; j < 4; ++j) sums[j] = _mm_add_epi32(sums[j], _mm_madd_epi16(pairs[j], w));
    }
    for (__m128i& sum : sums) sum = _mm_srai_epi32(sum, weight_bits - row_bits);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i), _mm_packs_epi32(sums[0], sums[1]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i + 8), _mm_packs_epi32(sums[2], sums[3]));
  }
  for (; i < values; ++i) {
    int sum = 1 << (weight_bits - row_bits - 1);
    for (std::int64_t k = 0; k < count; ++k) sum += weights[k] * from[k * stride + i];
    row[i] = static_cast<std::int16_t>(sum >> (weight_bits - row_bits));
  }
}

/// What filter_across may read behind the last column: up to 8 values at a time, 2 pixels a step.
constexpr std::int64_t padding = 16;

/// One output row from the filtered input columns, two of them a step.
template <int channels>
void filter_across(const std::int16_t* row, const Filter& across, std::int64_t shift,
                   std::int64_t width, std::uint8_t* out) {
  constexpr int bits = weight_bits + row_bits;
  for (std::int64_t x = 0; x < width; ++x) {
    const std::int16_t* weights = across.of(x);
    const std::int16_t* from = row + (across.first[static_cast<std::size_t>(x)] - shift) * channels;
    __m128i sum = _mm_set1_epi32(1 << (bits - 1));
    const std::int64_t count = across.count[static_cast<std::size_t>(x)];
    for (std::int64_t k = 0; k < count; k += 2) {
      const __m128i two = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k * channels));
      const __m128i pairs = _mm_unpacklo_epi16(two, _mm_srli_si128(two, 2 * channels));
      sum = _mm_add_epi32(sum, _mm_madd_epi16(pairs, two_weights(weights + k)));
    }
    sum = _mm_srai_epi32(sum, bits);
    const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
    const std::int32_t pixel = _mm_cvtsi128_si32(bytes);
    std::memcpy(out + x * channels, &pixel, channels);
  }
}

}  // namespace

void resize(const Image& image, const Box& box, std::int64_t height, std::int64_t width,
            Image& out) {
  constexpr double slack = 1e-6;  // borders that were computed
  check(height > 0 && width > 0 && box.width > 0 && box.height > 0, "resize: ", box.height, " x ",
        box.width, " to ", height, " x ", width, "; expected sizes above 0");
  check(box.left >= -slack && box.top >= -slack &&
            box.left + box.width <= static_cast<double>(image.width) + slack &&
            box.top + box.height <= static_cast<double>(image.height) + slack,
        "resize: the box from (", box.top, ", ", box.left, ") of ", box.height, " x ", box.width,
        " leaves the image of ", image.height, " x ", image.width);
  const std::int64_t c = image.channels;
  check(c >= 1 && c <= 3, "resize: expected 1 to 3 channels, got ", c);
  const Filter down = make_filter(image.height, box.top, box.height, height);
  const Filter across = make_filter(image.width, box.left, box.width, width);
  const std::int64_t first = across.first.front();
  const std::int64_t columns = across.first.back() + across.count.back() - first;
  std::vector<std::int16_t> row(static_cast<std::size_t>(columns * c + padding));
  out.height = height;
  out.width = width;
  out.channels = c;
  out.pixels.resize(static_cast<std::size_t>(height * width * c));
  for (std::int64_t y = 0; y < height; ++y) {
    const auto i = static_cast<std::size_t>(y);
    filter_down(image.pixels.data() + (down.first[i] * image.width + first) * c, image.width * c,
                down.of(y), down.count[i], columns * c, row.data());
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
        size.height, " x ", size.width, " to ", shorter, "; expected sizes above 0");
  return size.height <= size.width ? Size{shorter, shorter * size.width / size.height}
                                   : Size{shorter * size.height / size.width, shorter};
}

namespace {

/// Where the middle `part` of `whole` begins: half of the rest, to the even number where that lies
/// between two, as torchvision's center_crop.
std::int64_t middle(std::int64_t whole, std::int64_t part) {
  const std::int64_t rest = whole - part, half = rest / 2;
  return rest % 2 == 0 ? half : half + half % 2;
}

}  // namespace

Image centre_crop(const Image& image, std::int64_t height, std::int64_t width) {
  check(height > 0 && width > 0 && height <= image.height && width <= image.width,
        "centre crop: expected ", height, " x ", width, " of an image of ", image.height, " x ",
        image.width);
  const std::int64_t top = middle(image.height, height), left = middle(image.width, width);
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
  check(crop > 0 && crop <= shorter, "centre crop: expected 1 to ", shorter, " pixels, got ", crop);
  const double down = static_cast<double>(size.height) / static_cast<double>(resized.height);
  const double across = static_cast<double>(size.width) / static_cast<double>(resized.width);
  const auto side = static_cast<double>(crop);
  return {static_cast<double>(middle(resized.width, crop)) * across,
          static_cast<double>(middle(resized.height, crop)) * down, side * across, side * down};
}

}  // namespace exciton::data
