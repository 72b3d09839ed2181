#include "ops/channels.hpp"

#include <cstring>

#include "core/threads.hpp"

namespace exciton::ops {
namespace {

/// Copies `count` channels of every pixel between two maps with `from_c` and `to_c` channels.
void copy_channels(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin,
                   std::int64_t count) {
  const auto size = static_cast<std::int64_t>(size_of(from.dtype()));
  const std::int64_t from_c = from.dim(-1), to_c = to.dim(-1), pixels = from.numel() / from_c;
  const char* f = static_cast<const char*>(from.raw());
  char* t = static_cast<char*>(to.raw());
  parallel_for(pixels, 1 << 10, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      std::memcpy(t + (p * to_c + to_begin) * size, f + (p * from_c + from_begin) * size,
                  static_cast<std::size_t>(count * size));
  });
}

Shape with_channels(const Shape& s, std::int64_t c) { return {s[0], s[1], s[2], c}; }

}  // namespace

Tensor Concat::forward(Saved& saved, std::span<const Tensor> x) const {
  check(!x.empty(), name, ": no inputs");
  std::int64_t channels = 0;
  for (const Tensor& t : x) {
    check(t.rank() == 4, name, ": inputs must be [N, H, W, C], got ", t.shape());
    check(
        with_channels(t.shape(), 0) == with_channels(x[0].shape(), 0) && t.dtype() == x[0].dtype(),
        name, ": ", t.shape(), " ", t.dtype(), " does not go beside ", x[0].shape(), " ",
        x[0].dtype());
    saved.shapes.push_back(t.shape());
    channels += t.dim(3);
  }
  Tensor y(with_channels(x[0].shape(), channels), x[0].dtype());
  std::int64_t at = 0;
  for (const Tensor& t : x) {
    copy_channels(t, 0, y, at, t.dim(3));
    at += t.dim(3);
  }
  return y;
}

std::vector<Tensor> Concat::backward(Saved& saved, Tensor dy, std::span<const bool> needs) const {
  std::vector<Tensor> grads(saved.shapes.size());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const std::int64_t c = saved.shapes[i][3];
    if (needs[i]) {
      grads[i] = Tensor(saved.shapes[i], dy.dtype());
      copy_channels(dy, at, grads[i], 0, c);
    }
    at += c;
  }
  return grads;
}

std::vector<Example<Concat>> Concat::examples() {
  return {{{}, {{2, 3, 4, 5}, {2, 3, 4, 1}, {2, 3, 4, 7}}}, {{}, {{1, 1, 1, 1}}}};
}

Tensor SliceChannels::forward(Saved& saved, const Tensor& x) const {
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  check(begin >= 0 && count > 0 && begin + count <= x.dim(3), name, ": channels ", begin, " to ",
        begin + count, " of x ", x.shape());
  saved.shape = x.shape();
  Tensor y(with_channels(x.shape(), count), x.dtype());
  copy_channels(x, begin, y, 0, count);
  return y;
}

Grads<1> SliceChannels::backward(Saved& saved, Tensor dy, Needs<1>) const {
  Tensor dx = Tensor::zeros(saved.shape, dy.dtype());
  copy_channels(dy, 0, dx, begin, count);
  return {dx};
}

std::vector<Example<SliceChannels>> SliceChannels::examples() {
  return {{{1, 3}, {{2, 3, 4, 5}}}, {{0, 1}, {{1, 1, 1, 1}}}, {{2, 5}, {{1, 2, 3, 7}}}};
}

std::vector<Var> split(const Var& x, const std::vector<std::int64_t>& counts) {
  std::vector<Var> out;
  std::int64_t at = 0;
  for (std::int64_t c : counts) {
    out.push_back(slice_channels(x, at, c));
    at += c;
  }
  check(at == x.dim(-1), "split: pieces sum to ", at, " channels, x ", x.shape(), " has ",
        x.dim(-1));
  return out;
}

namespace {

Tensor shuffled(const Tensor& x, std::int64_t rows) {
  const std::int64_t c = x.dim(-1), columns = c / rows, pixels = x.numel() / c;
  Tensor y(x.shape(), x.dtype());
  const auto size = static_cast<std::int64_t>(size_of(x.dtype()));
  const char* f = static_cast<const char*>(x.raw());
  char* t = static_cast<char*>(y.raw());
  parallel_for(pixels, 1 << 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t j = 0; j < columns; ++j)
          std::memcpy(t + (p * c + j * rows + r) * size, f + (p * c + r * columns + j) * size,
                      static_cast<std::size_t>(size));
  });
  return y;
}

}  // namespace

Tensor ChannelShuffle::forward(Saved&, const Tensor& x) const {
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  check(groups >= 1 && x.dim(3) % groups == 0, name, ": ", groups, " groups do not divide ",
        x.dim(3), " channels of x ", x.shape());
  return shuffled(x, groups);
}

Grads<1> ChannelShuffle::backward(Saved&, Tensor dy, Needs<1>) const {
  return {shuffled(dy, dy.dim(3) / groups)};
}

std::vector<Example<ChannelShuffle>> ChannelShuffle::examples() {
  return {{{3}, {{2, 3, 4, 6}}}, {{1}, {{1, 1, 1, 1}}}, {{2}, {{1, 2, 1, 10}}}};
}

namespace {

/// f(x pixel, y pixel) for the pixels a strided shortcut keeps.
template <class F>
void each_kept(const Shape& x, std::int64_t stride, F&& f) {
  const std::int64_t h = (x[1] + stride - 1) / stride, w = (x[2] + stride - 1) / stride;
  parallel_for(x[0], 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t i = 0; i < h; ++i)
        for (std::int64_t j = 0; j < w; ++j)
          f((n * x[1] + i * stride) * x[2] + j * stride, (n * h + i) * w + j);
  });
}

}  // namespace

Tensor ShortcutPad::forward(Saved& saved, const Tensor& x) const {
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  check(stride >= 1 && channels >= x.dim(3), name, ": x ", x.shape(), " to ", channels,
        " channels at stride ", stride);
  saved.shape = x.shape();
  const std::int64_t c = x.dim(3), before = (channels - c) / 2;
  Tensor y = Tensor::zeros(
      {x.dim(0), (x.dim(1) + stride - 1) / stride, (x.dim(2) + stride - 1) / stride, channels},
      x.dtype());
  const std::size_t size = size_of(x.dtype());
  const char* f = static_cast<const char*>(x.raw());
  char* t = static_cast<char*>(y.raw());
  each_kept(x.shape(), stride, [&](std::int64_t from, std::int64_t to) {
    std::memcpy(t + static_cast<std::size_t>(to * channels + before) * size,
                f + static_cast<std::size_t>(from * c) * size, static_cast<std::size_t>(c) * size);
  });
  return y;
}

Grads<1> ShortcutPad::backward(Saved& saved, Tensor dy, Needs<1>) const {
  Tensor dx = Tensor::zeros(saved.shape, dy.dtype());
  const std::int64_t c = saved.shape[3], before = (channels - c) / 2;
  const std::size_t size = size_of(dy.dtype());
  const char* f = static_cast<const char*>(dy.raw());
  char* t = static_cast<char*>(dx.raw());
  each_kept(saved.shape, stride, [&](std::int64_t at, std::int64_t from) {
    std::memcpy(t + static_cast<std::size_t>(at * c) * size,
                f + static_cast<std::size_t>(from * channels + before) * size,
                static_cast<std::size_t>(c) * size);
  });
  return {dx};
}

std::vector<Example<ShortcutPad>> ShortcutPad::examples() {
  return {{{6, 2}, {{2, 5, 4, 3}}}, {{1, 1}, {{1, 1, 1, 1}}}, {{8, 2}, {{1, 4, 6, 4}}}};
}

Tensor Cast::forward(Saved& saved, const Tensor& x) const {
  saved.from = x.dtype();
  return x.to(to);
}
Grads<1> Cast::backward(Saved& saved, Tensor dy, Needs<1>) const { return {dy.to(saved.from)}; }
std::vector<Example<Cast>> Cast::examples() {
  return {{{DType::f64}, {{2, 3}}}, {{DType::f64}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
