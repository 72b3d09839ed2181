#include "exciton/data/augment.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "exciton/data/pixel_ops.hpp"
#include "exciton/data/rand_augment.hpp"
#include "exciton/data/resize.hpp"

namespace exciton::data {
namespace {

/// Where the crop lies, drawn once an image.
struct Placement {
  std::int64_t dy = 0, dx = 0;
  bool mirrored = false;
};

/// The pixel that lies at `i` when a row of n is mirrored at its border pixels, -n < i < 2 n - 1.
std::int64_t reflected(std::int64_t i, std::int64_t n) {
  if (i < 0) return -i;
  return i < n ? i : 2 * (n - 1) - i;
}

/// As place(), with the mirrored image around the image.
template <std::int64_t channels, class T>
void place_reflected(const Image& in, const Placement& p, const T* table, T* out) {
  const std::int64_t h = in.height, w = in.width;
  for (std::int64_t y = 0; y < h; ++y) {
    const std::uint8_t* const row = in.pixels.data() + reflected(y + p.dy, h) * w * channels;
    for (std::int64_t x = 0; x < w; ++x, out += channels) {
      const std::int64_t from = reflected((p.mirrored ? w - 1 - x : x) + p.dx, w);
      for (std::int64_t c = 0; c < channels; ++c)
        out[c] = table[256 * c + row[from * channels + c]];
    }
  }
}

/// Crop, mirror and normalise. `table` is [channels, 256]; with a constant number of channels the
/// inner loop unrolls.
template <std::int64_t channels, class T>
void place(const Image& in, const Placement& p, const T* table, T* out) {
  const std::int64_t h = in.height, w = in.width;
  const std::int64_t from = std::clamp<std::int64_t>(-p.dx, 0, w);   // columns [from, to) of the
  const std::int64_t to = std::clamp<std::int64_t>(w - p.dx, 0, w);  // crop lie in the image
  const std::int64_t step = p.mirrored ? -channels : channels;
  const auto zeros = [&](T* pixel, std::int64_t count) {
    for (; count > 0; --count, pixel += step)
      for (std::int64_t c = 0; c < channels; ++c) pixel[c] = table[256 * c];
  };
  for (std::int64_t y = 0; y < h; ++y) {
    T* pixel = out + (y * w + (p.mirrored ? w - 1 : 0)) * channels;
    const std::int64_t source = y + p.dy;
    if (source < 0 || source >= h || from >= to) {
      zeros(pixel, w);
      continue;
    }
    zeros(pixel, from);
    pixel += from * step;
    const std::uint8_t* value = in.pixels.data() + (source * w + from + p.dx) * channels;
    for (std::int64_t x = from; x < to; ++x, pixel += step, value += channels)
      for (std::int64_t c = 0; c < channels; ++c) pixel[c] = table[256 * c + value[c]];
    zeros(pixel, w - to);
  }
}

/// Width and height of a rectangle of `area` pixels, `ratio` = width / height.
Size rectangle(double area, double ratio) {
  return {std::llround(std::sqrt(area / ratio)), std::llround(std::sqrt(area * ratio))};
}

/// The largest middle part of an allowed ratio.
Box middle_part(const RandomResizedCrop& crop, Size size) {
  const auto h = static_cast<double>(size.height), w = static_cast<double>(size.width);
  const double ratio = std::clamp(w / h, crop.ratio_low, crop.ratio_high);
  const double height = std::min(h, std::max(1.0, std::round(w / ratio)));
  const double width = std::min(w, std::max(1.0, std::round(h * ratio)));
  return {std::floor((w - width) / 2), std::floor((h - height) / 2), width, height};
}

double uniform(Generator& rng, double low, double high) {
  return low + (high - low) * rng.uniform_double();
}

/// Inclusive of both ends.
std::int64_t integer(Generator& rng, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(high - low + 1)));
}

Box random_part(const RandomResizedCrop& crop, Size size, Generator& rng) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = static_cast<double>(size.height * size.width) *
                        uniform(rng, crop.scale_low, crop.scale_high);
    const double ratio =
        std::exp(uniform(rng, std::log(crop.ratio_low), std::log(crop.ratio_high)));
    const Size part = rectangle(area, ratio);
    if (part.height < 1 || part.width < 1 || part.height > size.height || part.width > size.width)
      continue;
    const std::int64_t top = integer(rng, 0, size.height - part.height);
    const std::int64_t left = integer(rng, 0, size.width - part.width);
    return {static_cast<double>(left), static_cast<double>(top), static_cast<double>(part.width),
            static_cast<double>(part.height)};
  }
  return middle_part(crop, size);
}

/// Factors and hue in a random order.
void jitter(Image& image, const ColourJitter& j, Generator& rng) {
  std::array<int, 4> order{0, 1, 2, 3};
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  const auto factor = [&](double x) { return uniform(rng, std::max(0.0, 1 - x), 1 + x); };
  const double brightness = factor(j.brightness), contrast = factor(j.contrast),
               saturation = factor(j.saturation), hue = uniform(rng, -j.hue, j.hue);
  for (const int which : order) {
    if (which == 0 && j.brightness > 0) change_brightness(image, brightness);
    if (which == 1 && j.contrast > 0) change_contrast(image, contrast);
    if (which == 2 && j.saturation > 0) change_saturation(image, saturation);
    if (which == 3 && j.hue > 0) change_hue(image, hue);
  }
}

/// A random sum of the principal components of ImageNet's pixels (Krizhevsky et al. 2012; the
/// values are those that Facebook's ResNet code published).
std::array<double, 3> random_light(double deviation, Generator& rng) {
  constexpr double length[] = {0.2175, 0.0188, 0.0045};  // square roots of the eigenvalues
  constexpr double direction[3][3] = {
      {-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}};
  std::array<double, 3> light{};
  for (int k = 0; k < 3; ++k) {
    const double weight = deviation * rng.normal() * length[k];
    for (std::size_t c = 0; c < 3; ++c) light[c] += direction[c][k] * weight;
  }
  return light;
}

/// Rows [top, bottom), columns [left, right).
struct Rectangle {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
};

template <class T>
void erase(const Rectangle& r, std::int64_t width, std::int64_t channels, T* out) {
  for (std::int64_t y = r.top; y < r.bottom; ++y)
    std::fill(out + (y * width + r.left) * channels, out + (y * width + r.right) * channels, T{});
}

/// Nothing (an empty rectangle) when it is not erased, or after ten draws that do not fit.
Rectangle random_erasure(const RandomErasing& erasing, Size size, Generator& rng) {
  if (rng.uniform_double() >= erasing.probability) return {};
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = static_cast<double>(size.height * size.width) * uniform(rng, 0.02, 0.33);
    const double ratio = std::exp(uniform(rng, std::log(0.3), std::log(3.3)));
    const Size part = rectangle(area, 1 / ratio);
    if (part.height >= size.height || part.width >= size.width) continue;
    const std::int64_t top = integer(rng, 0, size.height - part.height);
    const std::int64_t left = integer(rng, 0, size.width - part.width);
    return {top, left, top + part.height, left + part.width};
  }
  return {};
}

/// Gamma(alpha, 1) for alpha >= 1 (Marsaglia and Tsang 2000).
double gamma(double alpha, Generator& rng) {
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = rng.normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - rng.uniform_double()) < 0.5 * x * x + d - d * v + d * std::log(v))
      return d * v;
  }
}

/// The logarithm of a Gamma(alpha, 1): for a small alpha most values are below any double.
double log_gamma(double alpha, Generator& rng) {
  if (alpha >= 1) return std::log(gamma(alpha, rng));
  const double higher = gamma(alpha + 1, rng);  // drawn one higher, and corrected
  return std::log(higher) + std::log(1 - rng.uniform_double()) / alpha;
}

double beta(double alpha, Generator& rng) {
  const double a = log_gamma(alpha, rng), b = log_gamma(alpha, rng);
  return 1 / (1 + std::exp(b - a));
}

/// Calls f(pixels, other) for image n and image n + 1 as they were, n = 0 to N - 1.
template <class T, class F>
void with_next(Tensor& batch, F&& f) {
  const std::int64_t n = batch.dim(0), values = batch.numel() / n;
  T* const images = batch.data<T>();
  const std::vector<T> first(images, images + values);
  for (std::int64_t i = 0; i < n; ++i)
    f(images + i * values, i + 1 < n ? images + (i + 1) * values : first.data());
}

/// The box of cutmix: it covers 1 - weight of the image, its centre is uniform, and what hangs over
/// the border is cut off.
Rectangle random_patch(double weight, Size size, Generator& rng) {
  const double side = std::sqrt(1 - weight);
  const auto half = [&](std::int64_t extent) {
    return static_cast<std::int64_t>(side * static_cast<double>(extent)) / 2;
  };
  const std::int64_t y = integer(rng, 0, size.height - 1), x = integer(rng, 0, size.width - 1);
  const std::int64_t h = half(size.height), w = half(size.width);
  return {std::max<std::int64_t>(0, y - h), std::max<std::int64_t>(0, x - w),
          std::min(size.height, y + h), std::min(size.width, x + w)};
}

template <class T>
Mixing mix_batch(Tensor& batch, const Augment& augment, Generator& rng) {
  const bool both = augment.mixup > 0 && augment.cutmix > 0;
  const bool cut = both ? rng.uniform() < 0.5f : augment.cutmix > 0;
  const double weight = beta(cut ? augment.cutmix : augment.mixup, rng);
  const std::int64_t h = batch.dim(1), w = batch.dim(2), c = batch.dim(3);
  if (!cut) {
    const auto own = static_cast<float>(weight), other = 1 - own;
    with_next<T>(batch, [&](T* pixels, const T* next) {
      for (std::int64_t i = 0; i < h * w * c; ++i)
        pixels[i] = T(own * static_cast<float>(pixels[i]) + other * static_cast<float>(next[i]));
    });
    return {weight};
  }
  const Rectangle patch = random_patch(weight, {h, w}, rng);
  with_next<T>(batch, [&](T* pixels, const T* next) {
    for (std::int64_t y = patch.top; y < patch.bottom; ++y)
      std::copy(next + (y * w + patch.left) * c, next + (y * w + patch.right) * c,
                pixels + (y * w + patch.left) * c);
  });
  const std::int64_t covered = (patch.bottom - patch.top) * (patch.right - patch.left);
  return {1 - static_cast<double>(covered) / static_cast<double>(h * w)};
}

void check_ranges(const Augment& a) {
  const RandomResizedCrop& crop = a.random_resized_crop;
  check(a.size >= 0 && a.shorter_side >= 0, "augment: size and shorter_side want at least 0, got ",
        a.size, " and ", a.shorter_side);
  check(a.shorter_side == 0 || a.shorter_side >= a.size, "augment: the shorter side of ",
        a.shorter_side, " is less than the size of ", a.size);
  check(crop.scale_low >= 0 && crop.scale_low <= crop.scale_high && crop.scale_high <= 1,
        "augment: random_resized_crop: scale: expected 0 < low <= high <= 1, got ", crop.scale_low,
        " and ", crop.scale_high);
  check(crop.ratio_low > 0 && crop.ratio_low <= crop.ratio_high,
        "augment: random_resized_crop: ratio: expected 0 < low <= high, got ", crop.ratio_low,
        " and ", crop.ratio_high);
  check(crop.scale_low == 0 || a.size > 0, "augment: random_resized_crop needs a size");
  check(a.shorter_side == 0 || a.size > 0,
        "augment: shorter_side is resized to before the middle of `size` is taken; set size, too");
  check(a.pad >= 0, "augment: pad: expected at least 0, got ", a.pad);
  check(a.cutout >= 0, "augment: cutout: expected at least 0, got ", a.cutout);
  const ColourJitter& j = a.jitter;
  check(j.brightness >= 0 && j.contrast >= 0 && j.saturation >= 0 && j.hue >= 0 && j.hue <= 0.5,
        "augment: jitter: expected 0 or more, hue 0 to 0.5");
  check(a.rand_augment.operations >= 0 && a.rand_augment.magnitude >= 0 &&
            a.rand_augment.magnitude <= 30,
        "augment: rand_augment: expected 0 or more operations, magnitude 0 to 30");
  check(a.erasing.probability >= 0 && a.erasing.probability <= 1,
        "augment: erasing: expected a probability, got ", a.erasing.probability);
  check(a.rotation >= 0 && a.lighting >= 0 && a.mixup >= 0 && a.cutmix >= 0,
        "augment: rotation, lighting, mixup and cutmix want at least 0");
}

}  // namespace

Augmenter::Augmenter(const Augment& augment, std::int64_t channels)
    : augment_(augment), channels_(channels) {
  check(channels >= 1 && channels <= 3, "augment: expected 1 to 3 channels, got ", channels);
  check_ranges(augment);
  check(augment.lighting == 0 || channels == 3, "augment: lighting is for 3 channels, not ",
        channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = augment.mean[static_cast<std::size_t>(c)];
    const double std = augment.std[static_cast<std::size_t>(c)];
    check(std > 0 && std::isfinite(std), "augment: std of channel ", c,
          ": expected a positive number, got ", std);
    check(std::isfinite(mean), "augment: mean of channel ", c, ": expected a number, got ", mean);
    fill_[static_cast<std::size_t>(c)] =
        static_cast<std::uint8_t>(std::clamp(std::lround(255 * mean), 0L, 255L));
  }
  f32_ = table_with({});
  for (const float value : f32_) bf16_.emplace_back(value);
}

std::vector<float> Augmenter::table_with(const std::array<double, 3>& light) const {
  std::vector<float> table;
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
    const double mean = augment_.mean[c], std = augment_.std[c];
    for (int value = 0; value < 256; ++value)
      table.push_back(static_cast<float>((value / 255.0 + light[c] - mean) / std));
  }
  return table;
}

View Augmenter::frame(Size size, Generator& rng) const {
  if (!resizes()) return {whole(size), size};
  const Size out{augment_.size, augment_.size};
  if (augment_.random_resized_crop.scale_low > 0)
    return {random_part(augment_.random_resized_crop, size, rng), out, /*exact=*/false};
  const std::int64_t shorter = augment_.shorter_side > 0 ? augment_.shorter_side : augment_.size;
  return {centre_box(size, shorter, augment_.size), out};
}

bool Augmenter::changes_pixels() const {
  return augment_.rand_augment.operations > 0 || augment_.rotation > 0 || augment_.jitter.on();
}

void Augmenter::change_pixels(Image& image, Generator& rng) const {
  const RandAugment& random = augment_.rand_augment;
  for (std::int64_t i = 0; i < random.operations; ++i)
    random_operation(image, random.magnitude / 30, fill_, rng);
  if (augment_.rotation > 0)
    rotate(image, uniform(rng, -augment_.rotation, augment_.rotation), fill_);
  if (augment_.jitter.on()) jitter(image, augment_.jitter, rng);
}

template <class T>
void Augmenter::run(const Image& in, Generator& rng, const std::vector<T>& table,
                    std::optional<bool> mirrored, T* out) const {
  check(in.channels == channels_, "augment: image has ", in.channels, " channels, expected ",
        channels_);
  const std::int64_t h = in.height, w = in.width;
  check(static_cast<std::int64_t>(in.pixels.size()) == h * w * channels_, "augment: image of ", h,
        " x ", w, " x ", channels_, " has ", in.pixels.size(), " bytes");
  Image changed;
  if (changes_pixels()) change_pixels(changed = in, rng);
  Placement p;
  if (augment_.pad > 0) {
    p.dy = integer(rng, -augment_.pad, augment_.pad);
    p.dx = integer(rng, -augment_.pad, augment_.pad);
  }
  if (augment_.flip) p.mirrored = mirrored ? *mirrored : rng.uniform() < 0.5f;
  std::vector<T> lit;
  if (augment_.lighting > 0) {
    const std::vector<float> values = table_with(random_light(augment_.lighting, rng));
    for (const float value : values) lit.emplace_back(value);
  }
  const Image& image = changes_pixels() ? changed : in;
  const T* values = lit.empty() ? table.data() : lit.data();
  const bool reflects = augment_.reflect && augment_.pad > 0;
  check(!reflects || augment_.pad < std::min(h, w),
        "augment: padding by reflection wants pad below ", "the sides of images, ", h, " x ", w,
        ", got ", augment_.pad);
  const auto placed = [&]<std::int64_t channels>() {
    reflects ? place_reflected<channels>(image, p, values, out)
             : place<channels>(image, p, values, out);
  };
  if (channels_ == 1)
    placed.template operator()<1>();
  else if (channels_ == 2)
    placed.template operator()<2>();
  else
    placed.template operator()<3>();
  if (augment_.cutout > 0) {
    const std::int64_t top = integer(rng, 0, h - 1) - augment_.cutout / 2;
    const std::int64_t left = integer(rng, 0, w - 1) - augment_.cutout / 2;
    erase({std::max<std::int64_t>(0, top), std::max<std::int64_t>(0, left),
           std::min(h, top + augment_.cutout), std::min(w, left + augment_.cutout)},
          w, channels_, out);
  }
  if (augment_.erasing.probability > 0)
    erase(random_erasure(augment_.erasing, {h, w}, rng), w, channels_, out);
}

Mixing Augmenter::mix(Tensor& batch, Generator& rng) const {
  if (!mixes() || batch.dim(0) < 2) return {};
  return batch.dtype() == DType::bf16 ? mix_batch<bf16>(batch, augment_, rng)
                                      : mix_batch<float>(batch, augment_, rng);
}

void Augmenter::operator()(const Image& in, Generator& rng, float* out,
                           std::optional<bool> mirrored) const {
  run(in, rng, f32_, mirrored, out);
}

void Augmenter::operator()(const Image& in, Generator& rng, bf16* out,
                           std::optional<bool> mirrored) const {
  run(in, rng, bf16_, mirrored, out);
}

void Augment::operator()(const Image& in, Generator& rng, float* out) const {
  Augmenter(*this, in.channels)(in, rng, out);
}

}  // namespace exciton::data
