#include "exciton/ops/max_pool.hpp"

#include <algorithm>

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"

namespace exciton::ops {
namespace {
constexpr std::int64_t most = 16;  // kernel, whose taps are numbered in a byte

/// dx of windows that do not overlap. An output row has the rows of x from its first up to the next
/// one's, so no two threads write one place.
template <class T>
void spread(const PoolWindows& p, const T* dy, const std::uint8_t* where, T* dx) {
  const auto& kernels = simd::channel_kernels<T>();
  const std::int64_t k = p.spec.kernel;
  const auto zero = [&](std::int64_t row, std::int64_t from, std::int64_t to) {
    std::fill(dx + (row * p.w + from) * p.c, dx + (row * p.w + to) * p.c, T{});
  };
  parallel_for(p.n * p.oh, p.grain(p.ow * p.c * k * k), [&](std::int64_t r0, std::int64_t r1) {
    T* dx_of[most * most];
    std::uint8_t which[most * most];
    for (std::int64_t row = r0; row < r1; ++row) {
      const std::int64_t n = row / p.oh, i = row % p.oh, top = i * p.spec.stride - p.spec.padding;
      const auto rows = p.pixels(i, p.h);
      const std::int64_t first = i == 0 ? 0 : rows.begin,
                         last = i + 1 == p.oh ? p.h : p.pixels(i + 1, p.h).begin;
      for (std::int64_t a = first; a < last; ++a)
        if (a < rows.begin || a >= rows.end) zero(n * p.h + a, 0, p.w);
      std::int64_t done = 0;  // columns
      for (std::int64_t j = 0; j < p.ow; ++j) {
        const std::int64_t left = j * p.spec.stride - p.spec.padding;
        const auto columns = p.pixels(j, p.w);
        std::int64_t taps = 0;
        for (std::int64_t a = rows.begin; a < rows.end; ++a) {
          zero(n * p.h + a, done, columns.begin);
          for (std::int64_t b = columns.begin; b < columns.end; ++b, ++taps) {
            dx_of[taps] = dx + ((n * p.h + a) * p.w + b) * p.c;
            which[taps] = static_cast<std::uint8_t>((a - top) * k + b - left);
          }
        }
        done = columns.end;
        const std::int64_t from = (row * p.ow + j) * p.c;
        kernels.spread(dy + from, where + from, which, taps, p.c, dx_of);
      }
      for (std::int64_t a = rows.begin; a < rows.end; ++a) zero(n * p.h + a, done, p.w);
    }
  });
}

}  // namespace

Tensor MaxPool::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  const PoolWindows p(name, x.shape(), spec);
  const std::int64_t k = spec.kernel;
  check(k <= most, name, ": kernel ", k, " is above ", most, "; for whole maps try a max squeeze");
  saved.x = Form::of(x);
  saved.where = Tensor(p.result(), DType::u8);
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const auto& kernels = simd::channel_kernels<T>();
    Tensor y(p.result(), x.dtype());
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    std::uint8_t* where = saved.where.data<std::uint8_t>();
    parallel_for(p.n * p.oh, p.grain(p.ow * p.c * k * k), [&](std::int64_t r0, std::int64_t r1) {
      const T* x_of[most * most];
      std::uint8_t which[most * most];
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.oh, top = row % p.oh * spec.stride - spec.padding;
        const auto rows = p.pixels(row % p.oh, p.h);
        for (std::int64_t j = 0; j < p.ow; ++j) {
          const std::int64_t left = j * spec.stride - spec.padding;
          const auto columns = p.pixels(j, p.w);
          std::int64_t taps = 0;
          for (std::int64_t a = rows.begin; a < rows.end; ++a)
            for (std::int64_t b = columns.begin; b < columns.end; ++b, ++taps) {
              x_of[taps] = xp + ((n * p.h + a) * p.w + b) * p.c;
              which[taps] = static_cast<std::uint8_t>((a - top) * k + b - left);
            }
          const std::int64_t out = (row * p.ow + j) * p.c;
          kernels.largest(x_of, which, taps, p.c, yp + out, where + out);
        }
      }
    });
    return y;
  });
}

Grads<1> MaxPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const PoolWindows p(name, saved.x.shape, spec);
  check_gradient(name, dy, {p.result(), saved.x.dtype});
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    const auto& kernels = simd::channel_kernels<T>();
    Tensor dx(saved.x.shape, dy.dtype());
    const T* dyp = dy.data<T>();
    T* dxp = dx.data<T>();
    const std::uint8_t* where = saved.where.data<std::uint8_t>();
    if (spec.stride >= spec.kernel) {
      spread(p, dyp, where, dxp);
      return {dx};
    }
    // Gathered: each pixel asks the windows that see it, so no two threads write one place.
    parallel_for(p.n * p.h, p.grain(p.w * p.c * 4), [&](std::int64_t r0, std::int64_t r1) {
      const T* dy_of[most * most];
      const std::uint8_t* where_of[most * most];
      std::uint8_t which[most * most];
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.h, r = row % p.h;
        const auto rows = p.windows(r, p.oh);
        for (std::int64_t q = 0; q < p.w; ++q) {
          const auto columns = p.windows(q, p.ow);
          std::int64_t taps = 0;
          for (std::int64_t i = rows.begin; i < rows.end; ++i)
            for (std::int64_t j = columns.begin; j < columns.end; ++j, ++taps) {
              const std::int64_t at = ((n * p.oh + i) * p.ow + j) * p.c;
              dy_of[taps] = dyp + at;
              where_of[taps] = where + at;
              which[taps] =
                  static_cast<std::uint8_t>((r - i * spec.stride + spec.padding) * spec.kernel + q -
                                            j * spec.stride + spec.padding);
            }
          kernels.sum_where(dy_of, where_of, which, taps, p.c, dxp + (row * p.w + q) * p.c);
        }
      }
    });
    return {dx};
  });
}

std::vector<Example<MaxPool>> MaxPool::examples() {
  return {{{}, {{2, 4, 6, 3}}},
          {{{.kernel = 3, .stride = 2, .padding = 1}}, {{2, 7, 5, 5}}},
          {{{.kernel = 3, .stride = 2, .ceil_mode = true}}, {{1, 8, 6, 4}}},
          {{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}}, {{1, 6, 9, 2}}},
          {{{.kernel = 2, .stride = 3}}, {{1, 8, 7, 65}}},
          {{{.kernel = 2, .stride = 2, .padding = 1}}, {{2, 5, 6, 17}}},
          {{{.kernel = 2, .stride = 4, .padding = 1}}, {{1, 11, 9, 3}}},
          {{{.kernel = 3, .stride = 1, .padding = 1}}, {{3, 2, 1, 17}}},
          {{{.kernel = 1, .stride = 1}}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
