#include "exciton/ops/avg_pool.hpp"

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {
namespace {

constexpr std::int64_t block = 64;  // channels whose sums are kept on the stack

/// Pixels by which the sum of window i is divided, along an axis of `extent` pixels.
std::int64_t pixels_counted(const PoolWindows& p, std::int64_t i, std::int64_t extent) {
  if (!p.spec.count_include_pad) {
    const auto range = p.pixels(i, extent);
    return range.end - range.begin;
  }
  const std::int64_t first = i * p.spec.stride - p.spec.padding;
  return std::min(first + p.spec.kernel, extent + p.spec.padding) - first;
}

}  // namespace

Tensor AvgPool::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  const PoolWindows p(name, x.shape(), spec);
  saved.x = Form::of(x);
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor y(p.result(), x.dtype());
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    const std::int64_t work = p.ow * p.c * spec.kernel * spec.kernel;
    parallel_for(p.n * p.oh, p.grain(work), [&](std::int64_t r0, std::int64_t r1) {
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.oh, i = row % p.oh;
        const auto rows = p.pixels(i, p.h);
        for (std::int64_t j = 0; j < p.ow; ++j) {
          const auto columns = p.pixels(j, p.w);
          const auto pixels = static_cast<A>(pixels_counted(p, i, p.h) * pixels_counted(p, j, p.w));
          T* out = yp + (row * p.ow + j) * p.c;
          for (std::int64_t c0 = 0; c0 < p.c; c0 += block) {
            const std::int64_t count = std::min(block, p.c - c0);
            A sum[block] = {};
            for (std::int64_t a = rows.begin; a < rows.end; ++a)
              for (std::int64_t b = columns.begin; b < columns.end; ++b) {
                const T* v = xp + ((n * p.h + a) * p.w + b) * p.c + c0;
                for (std::int64_t c = 0; c < count; ++c) sum[c] += static_cast<A>(v[c]);
              }
            for (std::int64_t c = 0; c < count; ++c) out[c0 + c] = static_cast<T>(sum[c] / pixels);
          }
        }
      }
    });
    return y;
  });
}

Grads<1> AvgPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const PoolWindows p(name, saved.x.shape, spec);
  check_gradient(name, dy, {p.result(), saved.x.dtype});
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dx(saved.x.shape, dy.dtype());
    const T* dyp = dy.data<T>();
    T* dxp = dx.data<T>();
    parallel_for(p.n * p.h, p.grain(p.w * p.c * 4), [&](std::int64_t r0, std::int64_t r1) {
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.h;
        const auto rows = p.windows(row % p.h, p.oh);
        for (std::int64_t q = 0; q < p.w; ++q) {
          const auto columns = p.windows(q, p.ow);
          T* out = dxp + (row * p.w + q) * p.c;
          for (std::int64_t c0 = 0; c0 < p.c; c0 += block) {
            const std::int64_t count = std::min(block, p.c - c0);
            A sum[block] = {};
            for (std::int64_t i = rows.begin; i < rows.end; ++i)
              for (std::int64_t j = columns.begin; j < columns.end; ++j) {
                const T* d = dyp + ((n * p.oh + i) * p.ow + j) * p.c + c0;
                const A share =
                    1 / static_cast<A>(pixels_counted(p, i, p.h) * pixels_counted(p, j, p.w));
                for (std::int64_t c = 0; c < count; ++c) sum[c] += static_cast<A>(d[c]) * share;
              }
            for (std::int64_t c = 0; c < count; ++c) out[c0 + c] = static_cast<T>(sum[c]);
          }
        }
      }
    });
    return {dx};
  });
}

std::vector<Example<AvgPool>> AvgPool::examples() {
  return {
      {{}, {{2, 4, 6, 3}}},
      {{{.kernel = 3, .stride = 2, .padding = 1}}, {{2, 7, 5, 5}}},
      {{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}}, {{1, 6, 9, 2}}},
      {{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}},
       {{1, 6, 9, 66}}},
      {{{.kernel = 2, .stride = 3}}, {{1, 8, 7, 17}}},
      {{{.kernel = 1, .stride = 1}}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
