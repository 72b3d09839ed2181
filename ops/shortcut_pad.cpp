#include "exciton/ops/shortcut_pad.hpp"

#include <algorithm>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {

Tensor ShortcutPad::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  constexpr std::int64_t most = 1 << 20;  // sums of a few of them cannot overflow
  check(stride >= 1 && shift >= 0 && stride <= most && shift <= most, name,
        ": stride must be at least 1 and shift 0, both at most ", most, ", got ", stride, " and ",
        shift);
  const std::int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  check(channels >= c, name, ": x ", x.shape(), " has ", c, " channels, cannot become ", channels);
  const std::int64_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
  const std::int64_t front = (channels - c) / 2;
  saved.x = Form::of(x);
  Tensor y({n, oh, ow, channels}, x.dtype());
  dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    parallel_for(n * oh, std::max<std::int64_t>(1, (1 << 14) / (ow * channels + 1)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row)
                     for (std::int64_t j = 0; j < ow; ++j) {
                       const std::int64_t r = row % oh * stride - shift, q = j * stride - shift;
                       T* to = yp + (row * ow + j) * channels;
                       if (r < 0 || q < 0) {
                         std::fill_n(to, channels, T{});
                         continue;
                       }
                       const T* from = xp + ((row / oh * h + r) * w + q) * c;
                       std::fill_n(to, front, T{});
                       std::copy_n(from, c, to + front);
                       std::fill(to + front + c, to + channels, T{});
                     }
                 });
  });
  return y;
}

Grads<1> ShortcutPad::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const Shape& shape = saved.x.shape;
  const std::int64_t h = shape[1], w = shape[2], c = shape[3], front = (channels - c) / 2;
  const std::int64_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
  check_gradient(name, dy, {{shape[0], oh, ow, channels}, saved.x.dtype});
  Tensor dx(shape, dy.dtype());
  dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const T* dyp = dy.data<T>();
    T* dxp = dx.data<T>();
    parallel_for(shape[0] * h, std::max<std::int64_t>(1, (1 << 14) / (w * c + 1)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     const std::int64_t n = row / h, r = row % h;
                     T* to = dxp + row * w * c;
                     std::fill_n(to, w * c, T{});
                     const std::int64_t i = (r + shift) / stride;
                     if ((r + shift) % stride != 0 || i >= oh) continue;
                     for (std::int64_t j = (shift + stride - 1) / stride; j < ow; ++j)
                       std::copy_n(dyp + ((n * oh + i) * ow + j) * channels + front, c,
                                   to + (j * stride - shift) * c);
                   }
                 });
  });
  return {dx};
}

std::vector<Example<ShortcutPad>> ShortcutPad::examples() {
  return {{{10, 2}, {{2, 6, 4, 5}}},  {{6, 2}, {{1, 5, 7, 3}}}, {{3, 3}, {{1, 4, 7, 3}}},
          {{34, 1}, {{2, 3, 2, 17}}}, {{1, 2}, {{1, 1, 1, 1}}}, {{3, 2, 1}, {{2, 5, 4, 3}}},
          {{5, 1, 1}, {{1, 3, 2, 5}}}};
}

}  // namespace exciton::ops
