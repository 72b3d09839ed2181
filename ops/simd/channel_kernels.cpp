// Compiled once an instruction set; see vector.hpp.
#include "ops/simd/channel_kernels.hpp"
#include "ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr std::int64_t chunk = 64;  // pixels between flushes into double

/// A block of U vectors of channels; `n` counts the lanes of a partial block (U = 1).
template <class T, int U, bool Part>
struct Block {
  using A = Acc<T>;
  using V = typename Vec<A>::V;
  static constexpr int L = Vec<A>::lanes;
  int n;

  template <class S>
  EXCITON_INLINE V get(const S* p, int u) const {
    if constexpr (Part)
      return load_part(p, n);
    else
      return load(p + u * L);
  }
  template <class S>
  EXCITON_INLINE void put(S* p, V v, int u) const {
    if constexpr (Part)
      store_part(p, v, n);
    else
      store(p + u * L, v);
  }
  EXCITON_INLINE typename Vec<A>::Mask get_bytes(const std::uint8_t* p, int u) const {
    typename Vec<A>::Bytes bytes = {};
    std::memcpy(&bytes, p + u * L, Part ? static_cast<std::size_t>(n) : sizeof bytes);
    return __builtin_convertvector(bytes, typename Vec<A>::Mask);
  }
  EXCITON_INLINE void put_bytes(std::uint8_t* p, typename Vec<A>::Mask v, int u) const {
    const auto bytes = __builtin_convertvector(v, typename Vec<A>::Bytes);
    std::memcpy(p + u * L, &bytes, Part ? static_cast<std::size_t>(n) : sizeof bytes);
  }
  EXCITON_INLINE void flush(double* to, const V (&v)[U]) const {
    for (int u = 0; u < U; ++u)
      for (int i = 0; i < (Part ? n : L); ++i) to[u * L + i] += static_cast<double>(v[u][i]);
  }
};

/// Calls f(Block, first channel) for blocks that cover c channels: four vectors, two, one, a part.
template <class T, class F>
EXCITON_INLINE void for_blocks(std::int64_t c, F&& f) {
  constexpr int L = Vec<Acc<T>>::lanes;
  std::int64_t at = 0;
  for (; at + 4 * L <= c; at += 4 * L) f(Block<T, 4, false>{L}, at);
  if (at + 2 * L <= c) {
    f(Block<T, 2, false>{L}, at);
    at += 2 * L;
  }
  if (at + L <= c) {
    f(Block<T, 1, false>{L}, at);
    at += L;
  }
  if (at < c) f(Block<T, 1, true>{static_cast<int>(c - at)}, at);
}

template <class V>
EXCITON_INLINE V relu(V v) {
  return v > V{} ? v : V{};
}

template <class T, int U, bool Part, bool Square>
EXCITON_INLINE void sums_block(Block<T, U, Part> b, const T* y, std::int64_t pixels, std::int64_t c,
                               double* sum, double* square) {
  using V = typename Block<T, U, Part>::V;
  constexpr int R = 4 / U;  // pixels at a time: hides the latency of the additions
  V s[R][U] = {}, q[R][U] = {};
  std::int64_t p = 0;
  for (; p + R <= pixels; p += R)
    for (int r = 0; r < R; ++r)
      for (int u = 0; u < U; ++u) {
        const V v = b.get(y + (p + r) * c, u);
        s[r][u] += v;
        if constexpr (Square) q[r][u] += v * v;
      }
  for (; p < pixels; ++p)
    for (int u = 0; u < U; ++u) {
      const V v = b.get(y + p * c, u);
      s[0][u] += v;
      if constexpr (Square) q[0][u] += v * v;
    }
  for (int r = 1; r < R; ++r)
    for (int u = 0; u < U; ++u) {
      s[0][u] += s[r][u];
      q[0][u] += q[r][u];
    }
  b.flush(sum, s[0]);
  if constexpr (Square) b.flush(square, q[0]);
}

template <class T>
void sums(const T* y, std::int64_t pixels, std::int64_t c, double* sum, double* square) {
  for (std::int64_t p = 0; p < pixels; p += chunk) {
    const std::int64_t count = pixels - p < chunk ? pixels - p : chunk;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      if (square)
        sums_block<T, U, Part, true>(b, y + p * c + at, count, c, sum + at, square + at);
      else
        sums_block<T, U, Part, false>(b, y + p * c + at, count, c, sum + at, nullptr);
    });
  }
}

template <class T, bool Shortcut, bool Relu>
void apply_as(const T* y, const Acc<T>* a, const Acc<T>* bias, const T* shortcut, T* out,
              std::int64_t pixels, std::int64_t c) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      V av[U], bv[U];
      for (int u = 0; u < U; ++u) {
        av[u] = b.get(a + at, u);
        bv[u] = bias ? b.get(bias + at, u) : V{};
      }
      for (std::int64_t p = p0; p < p1; ++p)
        for (int u = 0; u < U; ++u) {
          V v = b.get(y + p * c + at, u) * av[u] + bv[u];
          if constexpr (Shortcut) v += b.get(shortcut + p * c + at, u);
          if constexpr (Relu) v = relu(v);
          b.put(out + p * c + at, v, u);
        }
    });
  }
}

template <class T>
void apply(const T* y, const Acc<T>* a, const Acc<T>* b, const T* shortcut, bool relu, T* out,
           std::int64_t pixels, std::int64_t c) {
  if (shortcut)
    relu ? apply_as<T, true, true>(y, a, b, shortcut, out, pixels, c)
         : apply_as<T, true, false>(y, a, b, shortcut, out, pixels, c);
  else
    relu ? apply_as<T, false, true>(y, a, b, shortcut, out, pixels, c)
         : apply_as<T, false, false>(y, a, b, shortcut, out, pixels, c);
}

enum class MaskFrom { none, out, affine };

template <class T, bool Two, MaskFrom M, bool Keep>
void backward_sums_as(const T* d, const T* d2, const typename ChannelKernels<T>::Mask& mask,
                      const T* y, T* g, std::int64_t pixels, std::int64_t c, double* sum,
                      double* product) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      V av[U], bv[U];
      if constexpr (M == MaskFrom::affine)
        for (int u = 0; u < U; ++u) {
          av[u] = b.get(mask.a + at, u);
          bv[u] = b.get(mask.b + at, u);
        }
      constexpr int R = 4 / U;
      V s[R][U] = {}, q[R][U] = {};
      const auto one = [&](std::int64_t p, V(&sr)[U], V(&qr)[U]) {
        const std::int64_t k = p * c + at;
        for (int u = 0; u < U; ++u) {
          V v = b.get(d + k, u);
          if constexpr (Two) v += b.get(d2 + k, u);
          const V w = b.get(y + k, u);
          if constexpr (M == MaskFrom::out) v = b.get(mask.out + k, u) > V{} ? v : V{};
          if constexpr (M == MaskFrom::affine) v = w * av[u] + bv[u] > V{} ? v : V{};
          if constexpr (Keep) b.put(g + k, v, u);
          sr[u] += v;
          qr[u] += v * w;
        }
      };
      std::int64_t p = p0;
      for (; p + R <= p1; p += R)
        for (int r = 0; r < R; ++r) one(p + r, s[r], q[r]);
      for (; p < p1; ++p) one(p, s[0], q[0]);
      for (int r = 1; r < R; ++r)
        for (int u = 0; u < U; ++u) {
          s[0][u] += s[r][u];
          q[0][u] += q[r][u];
        }
      b.flush(sum + at, s[0]);
      b.flush(product + at, q[0]);
    });
  }
}

template <class T, bool Two, MaskFrom M>
void backward_sums_kept(const T* d, const T* d2, const typename ChannelKernels<T>::Mask& mask,
                        const T* y, T* g, std::int64_t pixels, std::int64_t c, double* sum,
                        double* product) {
  if (g)
    backward_sums_as<T, Two, M, true>(d, d2, mask, y, g, pixels, c, sum, product);
  else
    backward_sums_as<T, Two, M, false>(d, d2, mask, y, g, pixels, c, sum, product);
}

template <class T>
void backward_sums(const T* d, const T* d2, const typename ChannelKernels<T>::Mask& mask,
                   const T* y, T* g, std::int64_t pixels, std::int64_t c, double* sum,
                   double* product) {
  const auto with = [&]<MaskFrom M>() {
    if (d2)
      backward_sums_kept<T, true, M>(d, d2, mask, y, g, pixels, c, sum, product);
    else
      backward_sums_kept<T, false, M>(d, d2, mask, y, g, pixels, c, sum, product);
  };
  if (mask.out)
    with.template operator()<MaskFrom::out>();
  else if (mask.a)
    with.template operator()<MaskFrom::affine>();
  else
    with.template operator()<MaskFrom::none>();
}

template <class T, MaskFrom M, bool Affine>
void backward_apply_as(const T* g, const typename ChannelKernels<T>::Mask& mask, const T* y,
                       const Acc<T>* pf, const Acc<T>* qf, const Acc<T>* rf, T* dy,
                       std::int64_t pixels, std::int64_t c) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      V av[U], bv[U], pv[U], qv[U], rv[U];
      for (int u = 0; u < U; ++u) {
        pv[u] = b.get(pf + at, u);
        if constexpr (Affine) {
          qv[u] = b.get(qf + at, u);
          rv[u] = b.get(rf + at, u);
        }
        if constexpr (M == MaskFrom::affine) {
          av[u] = b.get(mask.a + at, u);
          bv[u] = b.get(mask.b + at, u);
        }
      }
      for (std::int64_t p = p0; p < p1; ++p) {
        const std::int64_t k = p * c + at;
        for (int u = 0; u < U; ++u) {
          V v = b.get(g + k, u);
          V w = V{};
          if constexpr (Affine || M == MaskFrom::affine) w = b.get(y + k, u);
          if constexpr (M == MaskFrom::out) v = b.get(mask.out + k, u) > V{} ? v : V{};
          if constexpr (M == MaskFrom::affine) v = w * av[u] + bv[u] > V{} ? v : V{};
          v *= pv[u];
          if constexpr (Affine) v += w * qv[u] + rv[u];
          b.put(dy + k, v, u);
        }
      }
    });
  }
}

template <class T>
void backward_apply(const T* g, const typename ChannelKernels<T>::Mask& mask, const T* y,
                    const Acc<T>* p, const Acc<T>* q, const Acc<T>* r, T* dy, std::int64_t pixels,
                    std::int64_t c) {
  const auto with = [&]<MaskFrom M>() {
    if (q)
      backward_apply_as<T, M, true>(g, mask, y, p, q, r, dy, pixels, c);
    else
      backward_apply_as<T, M, false>(g, mask, y, p, q, r, dy, pixels, c);
  };
  if (mask.out)
    with.template operator()<MaskFrom::out>();
  else if (mask.a)
    with.template operator()<MaskFrom::affine>();
  else
    with.template operator()<MaskFrom::none>();
}

template <class T>
void extremes(const T* y, std::int64_t pixels, std::int64_t c, Acc<T>* high, std::int64_t* high_at,
              Acc<T>* low, std::int64_t* low_at) {
  using A = Acc<T>;
  for (std::int64_t k = 0; k < c; ++k) {
    high[k] = low[k] = static_cast<A>(y[k]);
    high_at[k] = low_at[k] = 0;
  }
  for (std::int64_t p = 1; p < pixels; ++p)
    for (std::int64_t k = 0; k < c; ++k) {
      const A v = static_cast<A>(y[p * c + k]);
      if (v > high[k]) {
        high[k] = v;
        high_at[k] = p;
      }
      if (v < low[k]) {
        low[k] = v;
        low_at[k] = p;
      }
    }
}

template <class T>
void largest(const T* const* x, const std::uint8_t* which, std::int64_t taps, std::int64_t c, T* y,
             std::uint8_t* where) {
  for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
    using V = typename Block<T, U, Part>::V;
    using Mask = typename Vec<Acc<T>>::Mask;
    V best[U];
    Mask from[U];
    for (int u = 0; u < U; ++u) {
      best[u] = V{} - static_cast<Acc<T>>(__builtin_inf());
      from[u] = Mask{} + which[0];
    }
    for (std::int64_t t = 0; t < taps; ++t)
      for (int u = 0; u < U; ++u) {
        const V v = b.get(x[t] + at, u);
        const Mask better = (v > best[u]) | (v != v);
        best[u] = better ? v : best[u];
        from[u] = better ? Mask{} + which[t] : from[u];
      }
    for (int u = 0; u < U; ++u) {
      b.put(y + at, best[u], u);
      b.put_bytes(where + at, from[u], u);
    }
  });
}

template <class T>
void sum_where(const T* const* dy, const std::uint8_t* const* where, const std::uint8_t* which,
               std::int64_t taps, std::int64_t c, T* dx) {
  for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
    using V = typename Block<T, U, Part>::V;
    using Mask = typename Vec<Acc<T>>::Mask;
    V sum[U] = {};
    for (std::int64_t t = 0; t < taps; ++t)
      for (int u = 0; u < U; ++u) {
        const Mask here = b.get_bytes(where[t] + at, u) == Mask{} + which[t];
        sum[u] += here ? b.get(dy[t] + at, u) : V{};
      }
    for (int u = 0; u < U; ++u) b.put(dx + at, sum[u], u);
  });
}

template <class A>
void matrix_vector(const A* w, const A* x, A* out, std::int64_t rows, std::int64_t c) {
  constexpr int L = Vec<A>::lanes;
  for (std::int64_t r = 0; r < rows; ++r) {
    const A* row = w + r * c;
    typename Vec<A>::V sum[4] = {};
    std::int64_t k = 0;
    for (; k + 4 * L <= c; k += 4 * L)
      for (int u = 0; u < 4; ++u) sum[u] += load(row + k + u * L) * load(x + k + u * L);
    for (; k + L <= c; k += L) sum[0] += load(row + k) * load(x + k);
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    A total = 0;
    for (int i = 0; i < L; ++i) total += sum[0][i];
    for (; k < c; ++k) total += row[k] * x[k];
    out[r] += total;
  }
}

template <class T>
constexpr ChannelKernels<T> table{sums<T>,     apply<T>,   backward_sums<T>, backward_apply<T>,
                                  extremes<T>, largest<T>, sum_where<T>,     matrix_vector<Acc<T>>};

}  // namespace

template <class T>
const ChannelKernels<T>& channel_kernels() {
  return table<T>;
}
template const ChannelKernels<float>& channel_kernels<float>();
template const ChannelKernels<bf16>& channel_kernels<bf16>();
template const ChannelKernels<double>& channel_kernels<double>();

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
