#include "data/augment.hpp"

#include <algorithm>

namespace exciton::data {
namespace {

/// Where the crop lies, drawn once an image.
struct Placement {
  std::int64_t dy = 0, dx = 0;
  bool mirrored = false;
};

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

}  // namespace

Augmenter::Augmenter(const Augment& augment, std::int64_t channels)
    : augment_(augment), channels_(channels) {
  check(channels >= 1 && channels <= 3, "augment: wants 1 to 3 channels, got ", channels);
  check(augment.pad >= 0, "augment: pad wants at least 0, got ", augment.pad);
  check(augment.cutout >= 0, "augment: cutout wants at least 0, got ", augment.cutout);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = augment.mean[static_cast<std::size_t>(c)];
    const double std = augment.std[static_cast<std::size_t>(c)];
    check(std > 0, "augment: std of channel ", c, " wants a positive number, got ", std);
    for (int value = 0; value < 256; ++value) {
      f32_.push_back(static_cast<float>((value / 255.0 - mean) / std));
      bf16_.emplace_back(f32_.back());
    }
  }
}

template <class T>
void Augmenter::run(const Image& in, Generator& rng, const std::vector<T>& table, T* out) const {
  check(in.channels == channels_, "augment: image has ", in.channels, " channels, wants ",
        channels_);
  const std::int64_t h = in.height, w = in.width;
  check(static_cast<std::int64_t>(in.pixels.size()) == h * w * channels_, "augment: image of ", h,
        " x ", w, " x ", channels_, " has ", in.pixels.size(), " bytes");
  const auto draw = [&](std::int64_t n) {
    return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(n)));
  };
  Placement p;
  if (augment_.pad > 0) {
    p.dy = draw(2 * augment_.pad + 1) - augment_.pad;
    p.dx = draw(2 * augment_.pad + 1) - augment_.pad;
  }
  if (augment_.flip) p.mirrored = rng.uniform() < 0.5f;
  switch (channels_) {
    case 1:
      place<1>(in, p, table.data(), out);
      break;
    case 2:
      place<2>(in, p, table.data(), out);
      break;
    default:
      place<3>(in, p, table.data(), out);
  }
  if (augment_.cutout > 0) {
    const std::int64_t top = draw(h) - augment_.cutout / 2;
    const std::int64_t left = draw(w) - augment_.cutout / 2;
    const std::int64_t y1 = std::max<std::int64_t>(0, top), y2 = std::min(h, top + augment_.cutout);
    const std::int64_t x1 = std::max<std::int64_t>(0, left),
                       x2 = std::min(w, left + augment_.cutout);
    for (std::int64_t y = y1; y < y2; ++y)
      std::fill(out + (y * w + x1) * channels_, out + (y * w + x2) * channels_, T{});
  }
}

void Augmenter::operator()(const Image& in, Generator& rng, float* out) const {
  run(in, rng, f32_, out);
}

void Augmenter::operator()(const Image& in, Generator& rng, bf16* out) const {
  run(in, rng, bf16_, out);
}

void Augment::operator()(const Image& in, Generator& rng, float* out) const {
  Augmenter(*this, in.channels)(in, rng, out);
}

}  // namespace exciton::data
