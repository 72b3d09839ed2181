// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/vector.hpp"

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
  /// Adds sums s and q, of v - from and its square over `count` values, as sums about k.
  EXCITON_INLINE void flush_moments(double* sum, double* square, const V (&s)[U], const V (&q)[U],
                                    const V (&from)[U], const A* k, double count) const {
    A sv[U * L], qv[U * L], fv[U * L];
    std::memcpy(sv, s, sizeof sv);
    std::memcpy(qv, q, sizeof qv);
    std::memcpy(fv, from, sizeof fv);
    for (int i = 0; i < (Part ? n : U * L); ++i) {
      const double move = static_cast<double>(fv[i]) - static_cast<double>(k[i]);
      const double si = static_cast<double>(sv[i]);
      sum[i] += si + count * move;
      square[i] += static_cast<double>(qv[i]) + move * (2 * si + count * move);
    }
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

/// Adds the rows of s into the first.
template <int R, int U, class V>
EXCITON_INLINE void fold_rows(V (&s)[R][U]) {
  for (int r = 1; r < R; ++r)
    for (int u = 0; u < U; ++u) s[0][u] += s[r][u];
}

template <class T>
void sums(const T* y, std::int64_t pixels, std::int64_t c, double* sum) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      constexpr int R = 4 / U;  // pixels at a time: hides the latency of the additions
      typename Block<T, U, Part>::V s[R][U] = {};
      std::int64_t p = p0;
      for (; p + R <= p1; p += R)
        for (int r = 0; r < R; ++r)
          for (int u = 0; u < U; ++u) s[r][u] += b.get(y + (p + r) * c + at, u);
      for (; p < p1; ++p)
        for (int u = 0; u < U; ++u) s[0][u] += b.get(y + p * c + at, u);
      fold_rows(s);
      b.flush(sum + at, s[0]);
    });
  }
}

template <class V>
EXCITON_INLINE V middle(V a, V b, V c) {
  const V low = a < b ? a : b, high = a < b ? b : a;
  const V below = high < c ? high : c;
  return low > below ? low : below;
}

template <class T>
void moments(const T* y, const Acc<T>* k, std::int64_t pixels, std::int64_t c, double* sum,
             double* square) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      constexpr int R = 4 / U;
      V from[U], s[R][U] = {}, q[R][U] = {};
      // The median of three pixels: a single one far from the others may be any of a chunk.
      const std::int64_t last = p1 - 1 - p0;
      for (int u = 0; u < U; ++u) {
        const V first =
            middle(b.get(y + p0 * c + at, u), b.get(y + (p0 + (last < 1 ? last : 1)) * c + at, u),
                   b.get(y + (p0 + (last < 2 ? last : 2)) * c + at, u));
        from[u] = first - first == V{} ? first : V{};  // infinities stay in the sums
      }
      const auto one = [&](std::int64_t p, V(&sr)[U], V(&qr)[U]) {
        for (int u = 0; u < U; ++u) {
          const V v = b.get(y + p * c + at, u) - from[u];
          sr[u] += v;
          qr[u] += v * v;
        }
      };
      std::int64_t p = p0;
      for (; p + R <= p1; p += R)
        for (int r = 0; r < R; ++r) one(p + r, s[r], q[r]);
      for (; p < p1; ++p) one(p, s[0], q[0]);
      fold_rows(s);
      fold_rows(q);
      b.flush_moments(sum + at, square + at, s[0], q[0], from, k + at,
                      static_cast<double>(p1 - p0));
    });
  }
}

/// The factors of an affine function for one block of channels.
template <class T, int U, bool Part>
struct AffineBlock {
  using B = Block<T, U, Part>;
  using V = typename B::V;
  V a[U], b[U], center[U];
  EXCITON_INLINE AffineBlock(const B& block, const typename ChannelKernels<T>::Affine& f,
                             std::int64_t at) {
    for (int u = 0; u < U; ++u) {
      a[u] = f.a ? block.get(f.a + at, u) : V{};
      b[u] = f.b ? block.get(f.b + at, u) : V{};
      center[u] = f.center ? block.get(f.center + at, u) : V{};
    }
  }
  EXCITON_INLINE V of_centered(V y, int u) const { return y * a[u] + b[u]; }
};

template <class T, bool Shortcut, bool Relu>
void apply_as(const T* y, const typename ChannelKernels<T>::Affine& affine, const T* shortcut,
              T* out, std::int64_t pixels, std::int64_t c) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      const AffineBlock<T, U, Part> f(b, affine, at);
      for (std::int64_t p = p0; p < p1; ++p)
        for (int u = 0; u < U; ++u) {
          V v = f.of_centered(b.get(y + p * c + at, u) - f.center[u], u);
          if constexpr (Shortcut) v += b.get(shortcut + p * c + at, u);
          if constexpr (Relu) v = relu(v);
          b.put(out + p * c + at, v, u);
        }
    });
  }
}

template <class T>
void apply(const T* y, const typename ChannelKernels<T>::Affine& f, const T* shortcut, bool relu,
           T* out, std::int64_t pixels, std::int64_t c) {
  if (shortcut)
    relu ? apply_as<T, true, true>(y, f, shortcut, out, pixels, c)
         : apply_as<T, true, false>(y, f, shortcut, out, pixels, c);
  else
    relu ? apply_as<T, false, true>(y, f, shortcut, out, pixels, c)
         : apply_as<T, false, false>(y, f, shortcut, out, pixels, c);
}

template <class T>
void relu_in_place(T* y, std::int64_t n) {
  for_blocks<T>(n, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
    for (int u = 0; u < U; ++u) b.put(y + at, relu(b.get(y + at, u)), u);
  });
}

enum class MaskFrom { none, out, affine };

/// The gradient d of element k behind the mask; w is y less its center.
template <class T, MaskFrom M, class B, class F>
EXCITON_INLINE typename B::V masked(const B& b, const T* out, std::int64_t k, const F& affine,
                                    typename B::V d, typename B::V w, int u) {
  if constexpr (M == MaskFrom::out) return relu_gradient(d, b.get(out + k, u));
  if constexpr (M == MaskFrom::affine) return relu_gradient(d, affine.of_centered(w, u));
  return d;
}

template <class T, bool Two, MaskFrom M, bool Keep>
void backward_sums_as(const T* d, const T* d2, const typename ChannelKernels<T>::Mask& mask,
                      const T* y, const Acc<T>* center, T* g, std::int64_t pixels, std::int64_t c,
                      double* sum, double* product) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      const AffineBlock<T, U, Part> f(b, {mask.of.a, mask.of.b, center}, at);
      constexpr int R = 4 / U;
      V s[R][U] = {}, q[R][U] = {};
      const auto one = [&](std::int64_t p, V(&sr)[U], V(&qr)[U]) {
        const std::int64_t k = p * c + at;
        for (int u = 0; u < U; ++u) {
          V v = b.get(d + k, u);
          if constexpr (Two) v += b.get(d2 + k, u);
          const V w = b.get(y + k, u) - f.center[u];
          v = masked<T, M>(b, mask.out, k, f, v, w, u);
          if constexpr (Keep) b.put(g + k, v, u);
          sr[u] += v;
          qr[u] += v * w;
        }
      };
      std::int64_t p = p0;
      for (; p + R <= p1; p += R)
        for (int r = 0; r < R; ++r) one(p + r, s[r], q[r]);
      for (; p < p1; ++p) one(p, s[0], q[0]);
      fold_rows(s);
      fold_rows(q);
      b.flush(sum + at, s[0]);
      b.flush(product + at, q[0]);
    });
  }
}

/// f of the way in which a mask is given.
template <class T, class F>
void with_mask(const typename ChannelKernels<T>::Mask& mask, const F& f) {
  if (mask.out)
    f.template operator()<MaskFrom::out>();
  else if (mask.of.a)
    f.template operator()<MaskFrom::affine>();
  else
    f.template operator()<MaskFrom::none>();
}

template <class T>
void backward_sums(const T* d, const T* d2, const typename ChannelKernels<T>::Mask& mask,
                   const T* y, const Acc<T>* center, T* g, std::int64_t pixels, std::int64_t c,
                   double* sum, double* product) {
  with_mask<T>(mask, [&]<MaskFrom M>() {
    const auto kernel =
        d2 ? (g ? backward_sums_as<T, true, M, true> : backward_sums_as<T, true, M, false>)
           : (g ? backward_sums_as<T, false, M, true> : backward_sums_as<T, false, M, false>);
    kernel(d, d2, mask, y, center, g, pixels, c, sum, product);
  });
}

template <class T, MaskFrom M, bool Affine>
void backward_apply_as(const T* g, const typename ChannelKernels<T>::Mask& mask, const T* y,
                       const Acc<T>* center, const Acc<T>* pf, const Acc<T>* qf, const Acc<T>* rf,
                       T* dy, std::int64_t pixels, std::int64_t c) {
  for (std::int64_t p0 = 0; p0 < pixels; p0 += chunk) {
    const std::int64_t p1 = p0 + chunk < pixels ? p0 + chunk : pixels;
    for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
      using V = typename Block<T, U, Part>::V;
      const AffineBlock<T, U, Part> f(b, {mask.of.a, mask.of.b, center}, at);
      const AffineBlock<T, U, Part> qr(b, {qf, rf, nullptr}, at);
      V pv[U];
      for (int u = 0; u < U; ++u) pv[u] = b.get(pf + at, u);
      for (std::int64_t p = p0; p < p1; ++p) {
        const std::int64_t k = p * c + at;
        for (int u = 0; u < U; ++u) {
          V w = V{};
          if constexpr (Affine || M == MaskFrom::affine) w = b.get(y + k, u) - f.center[u];
          V v = masked<T, M>(b, mask.out, k, f, b.get(g + k, u), w, u) * pv[u];
          if constexpr (Affine) v += qr.of_centered(w, u);
          b.put(dy + k, v, u);
        }
      }
    });
  }
}

template <class T>
void backward_apply(const T* g, const typename ChannelKernels<T>::Mask& mask, const T* y,
                    const Acc<T>* center, const Acc<T>* p, const Acc<T>* q, const Acc<T>* r, T* dy,
                    std::int64_t pixels, std::int64_t c) {
  with_mask<T>(mask, [&]<MaskFrom M>() {
    const auto kernel = q ? backward_apply_as<T, M, true> : backward_apply_as<T, M, false>;
    kernel(g, mask, y, center, p, q, r, dy, pixels, c);
  });
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
      const bool nan = v != v;
      if (v > high[k] || nan) {
        high[k] = v;
        high_at[k] = p;
      }
      if (v < low[k] || nan) {
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

template <class T>
void spread(const T* dy, const std::uint8_t* where, const std::uint8_t* which, std::int64_t taps,
            std::int64_t c, T* const* dx) {
  for_blocks<T>(c, [&]<int U, bool Part>(Block<T, U, Part> b, std::int64_t at) {
    using V = typename Block<T, U, Part>::V;
    using Mask = typename Vec<Acc<T>>::Mask;
    for (int u = 0; u < U; ++u) {
      const Mask from = b.get_bytes(where + at, u);
      const V g = b.get(dy + at, u) + V{};  // -0 is 0, as in a sum
      for (std::int64_t t = 0; t < taps; ++t)
        b.put(dx[t] + at, from == Mask{} + which[t] ? g : V{}, u);
    }
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
constexpr ChannelKernels<T> table{
    sums<T>,     moments<T>, apply<T>,     backward_sums<T>, backward_apply<T>,    relu_in_place<T>,
    extremes<T>, largest<T>, sum_where<T>, spread<T>,        matrix_vector<Acc<T>>};

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
