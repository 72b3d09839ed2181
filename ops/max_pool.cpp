#include "ops/max_pool.hpp"

#include <limits>

#include "core/threads.hpp"

namespace exciton::ops {
namespace {
constexpr std::int64_t block = 64;  // channels whose maxima are kept on the stack
}

Tensor MaxPool::forward(Saved& saved, const Tensor& x) const {
  const PoolWindows p(name, x.shape(), spec);
  const std::int64_t k = spec.kernel;
  check(k <= 16, name, ": kernel ", k, " is above 16; for whole maps try a max squeeze");
  saved.shape = x.shape();
  saved.where = Tensor(p.result(), DType::u8);
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor y(p.result(), x.dtype());
    const T* xp = x.data<T>();
    T* yp = y.data<T>();
    std::uint8_t* where = saved.where.data<std::uint8_t>();
    parallel_for(p.n * p.oh, p.grain(p.ow * p.c * k * k), [&](std::int64_t r0, std::int64_t r1) {
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.oh, top = row % p.oh * spec.stride - spec.padding;
        const auto rows = p.pixels(row % p.oh, p.h);
        for (std::int64_t j = 0; j < p.ow; ++j) {
          const std::int64_t left = j * spec.stride - spec.padding;
          const auto columns = p.pixels(j, p.w);
          for (std::int64_t c0 = 0; c0 < p.c; c0 += block) {
            const std::int64_t count = std::min(block, p.c - c0);
            A best[block];
            std::int32_t at[block];
            const auto first =
                static_cast<std::int32_t>((rows.begin - top) * k + columns.begin - left);
            for (std::int64_t c = 0; c < count; ++c) {
              best[c] = -std::numeric_limits<A>::infinity();
              at[c] = first;
            }
            for (std::int64_t a = rows.begin; a < rows.end; ++a)
              for (std::int64_t b = columns.begin; b < columns.end; ++b) {
                const T* v = xp + ((n * p.h + a) * p.w + b) * p.c + c0;
                const auto here = static_cast<std::int32_t>((a - top) * k + b - left);
                for (std::int64_t c = 0; c < count; ++c) {
                  const A value = static_cast<A>(v[c]);
                  const bool better = value > best[c] || value != value;
                  best[c] = better ? value : best[c];
                  at[c] = better ? here : at[c];
                }
              }
            const std::int64_t out = (row * p.ow + j) * p.c + c0;
            for (std::int64_t c = 0; c < count; ++c) {
              yp[out + c] = static_cast<T>(best[c]);
              where[out + c] = static_cast<std::uint8_t>(at[c]);
            }
          }
        }
      }
    });
    return y;
  });
}

Grads<1> MaxPool::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const PoolWindows p(name, saved.shape, spec);
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    using T = decltype(tag);
    using A = Acc<T>;
    Tensor dx(saved.shape, dy.dtype());
    const T* dyp = dy.data<T>();
    T* dxp = dx.data<T>();
    const std::uint8_t* where = saved.where.data<std::uint8_t>();
    // Gathered: each pixel asks the windows that see it, so no two threads write one place.
    parallel_for(p.n * p.h, p.grain(p.w * p.c * 4), [&](std::int64_t r0, std::int64_t r1) {
      for (std::int64_t row = r0; row < r1; ++row) {
        const std::int64_t n = row / p.h, r = row % p.h;
        const auto rows = p.windows(r, p.oh);
        for (std::int64_t q = 0; q < p.w; ++q) {
          const auto columns = p.windows(q, p.ow);
          T* out = dxp + (row * p.w + q) * p.c;
          for (std::int64_t c0 = 0; c0 < p.c; c0 += block) {
            const std::int64_t count = std::min(block, p.c - c0);
            A sum[block] = {};
            for (std::int64_t i = rows.begin; i < rows.end; ++i)
              for (std::int64_t j = columns.begin; j < columns.end; ++j) {
                const std::int64_t at = ((n * p.oh + i) * p.ow + j) * p.c + c0;
                const auto here = (r - i * spec.stride + spec.padding) * spec.kernel + q -
                                  j * spec.stride + spec.padding;
                for (std::int64_t c = 0; c < count; ++c)
                  sum[c] += where[at + c] == here ? static_cast<A>(dyp[at + c]) : A{0};
              }
            for (std::int64_t c = 0; c < count; ++c) out[c0 + c] = static_cast<T>(sum[c]);
          }
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
          {{{.kernel = 3, .stride = 1, .padding = 1}}, {{3, 2, 1, 17}}},
          {{{.kernel = 1, .stride = 1}}, {{1, 1, 1, 1}}}};
}

}  // namespace exciton::ops
