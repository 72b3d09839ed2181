/// The passes of Winograd's convolutions for any form of transforms and either kind of products;
/// kernel files alone include it (see vector.hpp). What lies between the passes are slots of 32
/// bits: an f32 each, or two bf16, which one instruction multiplies with two others and adds.
#pragma once
#include <type_traits>

#include "exciton/ops/simd/vector.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;
constexpr int cache_line = 64;  // bytes

// Lines of transforms (t = B^T d, y = A^T m, u = G w) with their transposes, and how tiles lie:
// `inputs` pixels from `step` times the tile less `before` on give `outputs`. Weights are
// transformed to `weights`. A form has lines down its columns and lines across its rows.
template <class DownLines, class AcrossLines>
struct Form {
  using Down = DownLines;
  using Across = AcrossLines;
};

/// What five products are made of, with the interpolation points +-p, +-q and infinity.
template <class Points>
struct FiveProducts {
  static constexpr float p = Points::p, q = Points::q, pp = Points::pp, qq = Points::qq;

  static EXCITON_INLINE void input(const V32 (&d)[5], V32* t) {
    const V32 ep = (d[2] - d[0] * qq) * p, op = d[3] - d[1] * qq;
    const V32 eq = (d[2] - d[0] * pp) * q, oq = d[3] - d[1] * pp;
    t[0] = op + ep;
    t[1] = op - ep;
    t[2] = oq + eq;
    t[3] = oq - eq;
    t[4] = d[4] - d[2] * (pp + qq) + d[0] * (pp * qq);
  }
};

/// F(3, 3): three outputs of three taps by these.
template <class Points>
struct ThreeOutputs : FiveProducts<Points> {
  static constexpr float p = Points::p, q = Points::q, pp = Points::pp, qq = Points::qq;
  static constexpr float at_p = 1 / (2 * p * (pp - qq)), at_q = 1 / (2 * q * (qq - pp));
  static constexpr int inputs = 5, positions = 5, weights = 5, outputs = 3, step = 3, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void output(const V32 (&m)[5], V32 (&y)[3]) {
    const V32 sp = m[0] + m[1], dp = m[0] - m[1], sq = m[2] + m[3], dq = m[2] - m[3];
    y[0] = sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * pp + sq * qq + m[4];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[3], V32 (&d)[5]) {
    const V32 ep = y[0] + y[2] * pp, op = y[1] * p;
    const V32 eq = y[0] + y[2] * qq, oq = y[1] * q;
    d[0] = ep + op;
    d[1] = ep - op;
    d[2] = eq + oq;
    d[3] = eq - oq;
    d[4] = y[2];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[5]) {
    const V32 ep = (w[0] + w[2] * pp) * at_p, op = w[1] * (p * at_p);
    const V32 eq = (w[0] + w[2] * qq) * at_q, oq = w[1] * (q * at_q);
    u[0] = op + ep;
    u[1] = op - ep;
    u[2] = oq + eq;
    u[3] = oq - eq;
    u[4] = w[2];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[5], V32 (&w)[3]) {
    const V32 sp = (u[0] + u[1]) * (p * at_p), dp = (u[0] - u[1]) * at_p;
    const V32 sq = (u[2] + u[3]) * (q * at_q), dq = (u[2] - u[3]) * at_q;
    w[0] = dp + dq;
    w[1] = sp + sq;
    w[2] = dp * pp + dq * qq + u[4];
  }
};

/// F(4, 3): four outputs by six products, the points of the former and 0.
template <class Points>
struct FourOutputs {
  static constexpr float p = Points::p, q = Points::q, pp = Points::pp, qq = Points::qq;
  static constexpr float p3 = p * pp, q3 = q * qq;
  static constexpr float at_0 = 1 / (pp * qq), at_p = 1 / (2 * pp * (pp - qq)),
                         at_q = 1 / (2 * qq * (qq - pp));
  static constexpr int inputs = 6, positions = 6, weights = 6, outputs = 4, step = 4, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void input(const V32 (&d)[6], V32 (&t)[6]) {
    const V32 ep = d[4] - d[2] * qq, op = d[3] - d[1] * qq;
    const V32 eq = d[4] - d[2] * pp, oq = d[3] - d[1] * pp;
    t[0] = d[0] * (pp * qq) - d[2] * (pp + qq) + d[4];
    t[1] = ep + op * p;
    t[2] = ep - op * p;
    t[3] = eq + oq * q;
    t[4] = eq - oq * q;
    t[5] = d[1] * (pp * qq) - d[3] * (pp + qq) + d[5];
  }
  static EXCITON_INLINE void output(const V32 (&m)[6], V32 (&y)[4]) {
    const V32 sp = m[1] + m[2], dp = m[1] - m[2], sq = m[3] + m[4], dq = m[3] - m[4];
    y[0] = m[0] + sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * pp + sq * qq;
    y[3] = dp * p3 + dq * q3 + m[5];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[4], V32 (&d)[6]) {
    const V32 ep = y[0] + y[2] * pp, op = y[1] * p + y[3] * p3;
    const V32 eq = y[0] + y[2] * qq, oq = y[1] * q + y[3] * q3;
    d[0] = y[0];
    d[1] = ep + op;
    d[2] = ep - op;
    d[3] = eq + oq;
    d[4] = eq - oq;
    d[5] = y[3];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[6]) {
    const V32 ep = (w[0] + w[2] * pp) * at_p, op = w[1] * (p * at_p);
    const V32 eq = (w[0] + w[2] * qq) * at_q, oq = w[1] * (q * at_q);
    u[0] = w[0] * at_0;
    u[1] = ep + op;
    u[2] = ep - op;
    u[3] = eq + oq;
    u[4] = eq - oq;
    u[5] = w[2];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[6], V32 (&w)[3]) {
    const V32 sp = (u[1] + u[2]) * at_p, dp = (u[1] - u[2]) * (p * at_p);
    const V32 sq = (u[3] + u[4]) * at_q, dq = (u[3] - u[4]) * (q * at_q);
    w[0] = u[0] * at_0 + sp + sq;
    w[1] = dp + dq;
    w[2] = sp * pp + sq * qq + u[5];
  }
};

/// F(4, 2): four outputs of two taps by the five products of F(3, 3).
template <class Points>
struct TwoTaps : FiveProducts<Points> {
  static constexpr float p = Points::p, q = Points::q, pp = Points::pp, qq = Points::qq;

  static EXCITON_INLINE void output(const V32* m, V32 (&y)[4]) {
    const V32 sp = m[0] + m[1], dp = m[0] - m[1], sq = m[2] + m[3], dq = m[2] - m[3];
    y[0] = sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * pp + sq * qq;
    y[3] = dp * (p * pp) + dq * (q * qq) + m[4];
  }
};

/// The taps of a stride of two part: the outer two see the odd pixels, the middle one the even.
/// Five products for the former and four for the latter, which share one weight.
template <class Points>
struct Stride2 {
  using Outer = TwoTaps<Points>;
  static constexpr float p = Points::p, q = Points::q, pp = Points::pp, qq = Points::qq;
  static constexpr float at_p = 1 / (2 * p * (pp - qq)), at_q = 1 / (2 * q * (qq - pp));
  static constexpr int inputs = 9, positions = 9, weights = 6, outputs = 4, step = 8, before = 1;
  static constexpr bool transposed = false;

  static EXCITON_INLINE void input(const V32 (&d)[9], V32 (&t)[9]) {
    const V32 odd[5] = {d[0], d[2], d[4], d[6], d[8]};
    Outer::input(odd, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[1 + 2 * i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[4]) {
    Outer::output(m, y);
    for (int i = 0; i < 4; ++i) y[i] += m[5 + i];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[4], V32 (&d)[9]) {
    const V32 ep = y[0] + y[2] * pp, op = y[1] * p + y[3] * (p * pp);
    const V32 eq = y[0] + y[2] * qq, oq = y[1] * q + y[3] * (q * qq);
    d[0] = ep + op;
    d[1] = ep - op;
    d[2] = eq + oq;
    d[3] = eq - oq;
    d[4] = y[3];
    for (int i = 0; i < 4; ++i) d[5 + i] = y[i];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[6]) {
    const V32 ep = w[0] * at_p, eq = w[0] * at_q;
    u[0] = w[2] * (p * at_p) + ep;
    u[1] = w[2] * (p * at_p) - ep;
    u[2] = w[2] * (q * at_q) + eq;
    u[3] = w[2] * (q * at_q) - eq;
    u[4] = w[2];
    u[5] = w[1];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[6], V32 (&w)[3]) {
    w[0] = (u[0] - u[1]) * at_p + (u[2] - u[3]) * at_q;
    w[1] = u[5];
    w[2] = (u[0] + u[1]) * (p * at_p) + (u[2] + u[3]) * (q * at_q) + u[4];
  }
};

/// The data gradient of Stride2: even pixels of dx take the middle tap of one pixel of dy, odd ones
/// the outer taps of two. It shares the lines of the weights, rotated by 180 degrees.
template <class Points>
struct Stride2Transposed : Stride2<Points> {
  using Outer = TwoTaps<Points>;
  static constexpr int inputs = 5, outputs = 8, step = 4, before = 0;
  static constexpr bool transposed = true;  // the tiles have no gradient of their own

  static EXCITON_INLINE void input(const V32 (&d)[5], V32 (&t)[9]) {
    Outer::input(d, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[8]) {
    V32 odd[4];
    Outer::output(m, odd);
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = m[5 + i];
      y[2 * i + 1] = odd[i];
    }
  }
};

/// Walks through tiles: image, row and column in tiles.
struct TileCursor {
  std::int64_t image, row, column;
  TileCursor(const TiledMaps& maps, std::int64_t tile)
      : image(tile / (maps.down * maps.across)),
        row(tile / maps.across % maps.down),
        column(tile % maps.across) {}
  void next(const TiledMaps& maps) {
    if (++column < maps.across) return;
    column = 0;
    if (++row < maps.down) return;
    row = 0;
    ++image;
  }
};

std::int64_t panel(std::int64_t c) { return c % (2 * L) == 0 ? 2 * L : c % L == 0 ? L : c; }

/// The vectors of c channels, times their lanes.
EXCITON_INLINE std::int64_t in_vectors(std::int64_t c) { return (c + L - 1) / L * L; }

/// Channel k of the first row of the first matrix.
EXCITON_INLINE float* at_channel(const Panels& m, std::int64_t width, std::int64_t k) {
  return m.data + k / width * m.step + k % width;
}

/// Pixels of `size` from `at` on, at most `most`.
EXCITON_INLINE int left_of(std::int64_t size, std::int64_t at, int most) {
  return size - at < most ? static_cast<int>(size - at) : most;
}

/// How transformed values become slots: one f32 each.
struct Singles {
  static constexpr int channels = 1, tiles = 1;  ///< in a slot
  static constexpr bool halves = false;  ///< whether the last vector of channels may be half full
  /// Channels of a map; of the first half, where the others are zero.
  template <bool half, class T>
  static EXCITON_INLINE V32 load(const T* p) {
    return EXCITON_TARGET::load(p);
  }
  template <class T>
  static EXCITON_INLINE void store_output(T* p, V32 v) {
    store(p, v);
  }
  template <bool half>
  static EXCITON_INLINE void put(float* slot, V32 v) {
    store(slot, v);
  }
  /// Of a row of weights, the second of a slot's or not.
  static EXCITON_INLINE void put_row(float* slot, V32 v, bool) { store(slot, v); }
  static EXCITON_INLINE V32 multiply_add(V32 b, float a, V32 sum) {
    return EXCITON_TARGET::multiply_add(b, a, sum);
  }
};

#ifdef __AVX512BF16__
/// Pairs of bf16. What is rounded is rounded to nearest even, numbers too small for a normal one
/// to zero.
struct Pairs {
  static constexpr bool halves = true;
  template <bool half>
  static EXCITON_INLINE V32 load(const bf16* p) {
    if constexpr (!half) return EXCITON_TARGET::load(p);
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return V32(_mm512_zextsi256_si512(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
  }
  static EXCITON_INLINE V32 multiply_add(V32 b, float a, V32 sum) {
    return V32(_mm512_dpbf16_ps(sum, as_pairs(b), as_pairs(V32(_mm512_set1_ps(a)))));
  }
  static EXCITON_INLINE __m512bh as_pairs(V32 v) {
    __m512bh pairs;
    std::memcpy(&pairs, &v, sizeof v);
    return pairs;
  }
  static EXCITON_INLINE void store_output(bf16* p, V32 v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), rounded(v));
  }
  static EXCITON_INLINE void store_half(bf16* p, V32 v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(rounded(v)));
  }
  static EXCITON_INLINE __m256i rounded(V32 v) {
    const __m256bh half = _mm512_cvtneps_pbh(v);
    __m256i bits;
    std::memcpy(&bits, &half, sizeof half);
    return bits;
  }
};
/// Neighbouring channels.
struct ChannelPairs : Pairs {
  static constexpr int channels = 2, tiles = 1;
  template <bool half>
  static EXCITON_INLINE void put(float* slot, V32 v) {
    const __m256i bits = rounded(v);
    if constexpr (half)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(slot), _mm256_castsi256_si128(bits));
    else
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(slot), bits);
  }
};
/// The same of two tiles, or of two rows of a matrix.
struct TilePairs : Pairs {
  static constexpr int channels = 1, tiles = 2;
  using Rounded = __m256i;
  template <bool half>
  static EXCITON_INLINE void put(float* slot, Rounded first, Rounded second) {
    const __m512i bits = _mm512_or_si512(wide(first), _mm512_slli_epi32(wide(second), 16));
    if constexpr (half)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(slot), _mm512_castsi512_si256(bits));
    else
      _mm512_storeu_si512(slot, bits);
  }
  static EXCITON_INLINE void put_row(float* slot, V32 v, bool second) {
    __m512i bits = wide(rounded(v));
    if (second) bits = _mm512_or_si512(_mm512_slli_epi32(bits, 16), _mm512_loadu_si512(slot));
    _mm512_storeu_si512(slot, bits);
  }

 private:
  static EXCITON_INLINE __m512i wide(__m256i half) {
    return _mm512_maskz_cvtepu16_epi32(0xffff, half);
  }
};
#endif

/// A vector of channels of a tile, or of as many neighbours as a slot has, into slots [at * stride]
/// of `to`: transform(tile, put) hands put(at, value) its values.
template <class Slots, bool half, int values, class F>
EXCITON_INLINE void put_tiles(float* to, std::int64_t stride, bool all, const F& transform) {
  if constexpr (Slots::tiles == 1) {
    transform(
        0, [&](int at, V32 v) EXCITON_INLINED { Slots::template put<half>(to + at * stride, v); });
  } else {
    typename Slots::Rounded first[values];
    transform(0, [&](int at, V32 v) EXCITON_INLINED { first[at] = Slots::rounded(v); });
    if (all)
      transform(1, [&](int at, V32 v) EXCITON_INLINED {
        Slots::template put<half>(to + at * stride, first[at], Slots::rounded(v));
      });
    else
      for (int at = 0; at < values; ++at)
        Slots::template put<half>(to + at * stride, first[at], typename Slots::Rounded{});
  }
}

/// f(k, whether it is a half) for every vector of channels.
template <class Slots, class F>
EXCITON_INLINE void for_vectors(std::int64_t c, const F& f) {
  std::int64_t k = 0;
  for (; k + L <= c; k += L) f(k, std::false_type{});
  if constexpr (Slots::halves)
    if (k < c) f(k, std::true_type{});
}

template <class Form, class Slots, class T>
void input(const T* x, const TiledMaps& maps, TileRange tiles, const T* zeros, const Panels& v) {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  constexpr int H = Down::inputs, W = Across::inputs, P = Down::positions, Q = Across::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c / Slots::channels);
  struct Window {
    const T* rows[H];
    std::int64_t left;
    int from, to;
  } windows[Slots::tiles];
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; t += Slots::tiles) {
    const int together = left_of(tiles.count, t, Slots::tiles);
    for (int n = 0; n < together; ++n, at.next(maps)) {
      Window& window = windows[n];
      const T* image = x + at.image * maps.h * line;
      const std::int64_t top = maps.top + at.row * Down::step - Down::before;
      window.left = maps.left + at.column * Across::step - Across::before;
      for (int i = 0; i < H; ++i) {
        const std::int64_t r = top + i;
        window.rows[i] = r >= 0 && r < maps.h ? image + r * line : zeros;
      }
      window.from = window.left < 0 ? 1 : 0;
      window.to = left_of(maps.w, window.left, W);
    }
    for_vectors<Slots>(c, [&]<bool half>(std::int64_t k, std::bool_constant<half>) EXCITON_INLINED {
      float* const to = at_channel(v, width, k / Slots::channels) + t / Slots::tiles * width;
      put_tiles<Slots, half, P * Q>(
          to, v.stride, together == Slots::tiles, [&](int n, const auto& put) EXCITON_INLINED {
            const Window window = windows[n];  // a copy, which no store of a slot changes
            V32 part[P][W];                    // [position down][column]
            for (int j = 0; j < W; ++j) {
              if (j < window.from || j >= window.to) {
                for (auto& row : part) row[j] = V32{};
                continue;
              }
              const std::int64_t offset = (window.left + j) * c + k;
              V32 d[H], s[P];
              for (int i = 0; i < H; ++i)
                d[i] = Slots::template load<half>(window.rows[i] + offset);
              Down::input(d, s);
              for (int i = 0; i < P; ++i) part[i][j] = s[i];
            }
            for (int i = 0; i < P; ++i) {
              V32 s[Q];
              Across::input(part[i], s);
              for (int j = 0; j < Q; ++j) put(i * Q + j, s[j]);
            }
          });
    });
  }
}

template <class Form, class Slots, class T>
void output(const Panels& m, const TiledMaps& maps, TileRange tiles, TileRange channels,
            const WinogradEpilogue<T>& e, T* y) {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  constexpr int H = Down::outputs, W = Across::outputs, P = Down::positions, Q = Across::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(in_vectors(c)), stride = m.stride;
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const std::int64_t row = maps.top + at.row * H, column = maps.left + at.column * W;
    const std::int64_t corner = ((at.image * maps.h + row) * maps.w + column) * c;
    const int down = left_of(maps.h, row, H), across = left_of(maps.w, column, W);
    // Few channels leave the processor's own prefetch too little time between two tiles.
    for (int i = 0; i < down && channels.count == c; ++i)
      for (std::int64_t k = 0; k < W * c; k += cache_line / static_cast<std::int64_t>(sizeof(T)))
        __builtin_prefetch(y + corner + i * line + 2 * W * c + k, 1);
    for (std::int64_t k = channels.first; k < channels.first + channels.count; k += L) {
      const float* from = at_channel(m, width, k - channels.first) + t * width;
      V32 part[H][Q];
      for (int j = 0; j < Q; ++j) {
        V32 s[P], r[H];
        for (int i = 0; i < P; ++i) s[i] = load(from + (i * Q + j) * stride);
        Down::output(s, r);
        for (int i = 0; i < H; ++i) part[i][j] = r[i];
      }
      const V32 bias = e.bias ? load(e.bias + k) : V32{};
      for (int i = 0; i < down; ++i) {
        V32 r[W];
        Across::output(part[i], r);
        const std::int64_t to = corner + i * line + k;
        for (int j = 0; j < W; ++j) {
          if (j >= across) break;
          V32 out = r[j] + bias;
          if (e.gates) out *= load(e.gates + at.image * c + k);
          if (e.shortcut) out += load(e.shortcut + to + j * c);
          if (e.relu) out = relu(out);
          if constexpr (Slots::halves) {
            if (k + L > c) {
              Slots::store_half(y + to + j * c, out);
              continue;
            }
          }
          Slots::store_output(y + to + j * c, out);
        }
      }
    }
  }
}

template <class Form, class Slots, class T>
void output_gradient(const T* dy, const TiledMaps& maps, TileRange tiles, const Panels& d) {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  constexpr int H = Down::outputs, W = Across::outputs, P = Down::positions, Q = Across::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c);
  struct Window {
    const T* corner;
    int down, across;
  } windows[Slots::tiles];
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; t += Slots::tiles) {
    const int together = left_of(tiles.count, t, Slots::tiles);
    for (int n = 0; n < together; ++n, at.next(maps)) {
      const std::int64_t row = maps.top + at.row * H, column = maps.left + at.column * W;
      windows[n] = {dy + ((at.image * maps.h + row) * maps.w + column) * c, left_of(maps.h, row, H),
                    left_of(maps.w, column, W)};
    }
    for (std::int64_t k = 0; k < c; k += L) {
      float* const to = at_channel(d, width, k) + t / Slots::tiles * width;
      put_tiles<Slots, false, P * Q>(
          to, d.stride, together == Slots::tiles, [&](int n, const auto& put) EXCITON_INLINED {
            const Window window = windows[n];  // a copy, which no store of a slot changes
            V32 part[P][W];
            for (int j = 0; j < W; ++j) {
              V32 s[H], r[P];
              for (int i = 0; i < H; ++i)
                s[i] = i < window.down && j < window.across
                           ? load(window.corner + i * line + j * c + k)
                           : V32{};
              Down::output_gradient(s, r);
              for (int i = 0; i < P; ++i) part[i][j] = r[i];
            }
            for (int i = 0; i < P; ++i) {
              V32 r[Q];
              Across::output_gradient(part[i], r);
              for (int j = 0; j < Q; ++j) put(i * Q + j, r[j]);
            }
          });
    }
  }
}

/// `Rows` pairs up neighbouring input channels, as ChannelPairs do in the maps.
template <class Form, class Rows>
void weights(const float* w, std::int64_t o, std::int64_t c, bool rotated, TileRange outputs,
             float* packed) {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  constexpr int D = Down::weights, A = Across::weights;
  const std::int64_t in = rotated ? o : c, out = rotated ? c : o, width = panel(out);
  const std::int64_t rows = in / Rows::tiles;
  const std::int64_t next_output = rotated ? 9 : c * 9, next_input = rotated ? c * 9 : 9;
  for (std::int64_t k = outputs.first; k < outputs.first + outputs.count; k += L)
    for (std::int64_t i = 0; i < in; ++i) {
      const float* from = w + k * next_output + i * next_input;
      V32 window[3][3];
      for (int tap = 0; tap < 9; ++tap) {
        const int source = rotated ? 8 - tap : tap;
        for (int l = 0; l < L; ++l) window[tap % 3][tap / 3][l] = from[l * next_output + source];
      }
      V32 part[D][3];  // [position down][column]
      for (int j = 0; j < 3; ++j) {
        V32 r[D];
        Down::weight(window[j], r);
        for (int a = 0; a < D; ++a) part[a][j] = r[a];
      }
      for (int a = 0; a < D; ++a) {
        V32 r[A];
        Across::weight(part[a], r);
        for (int b = 0; b < A; ++b) {
          float* to = packed + ((a * A + b) * out + k / width * width) * rows +
                      i / Rows::tiles * width + k % width;
          Rows::put_row(to, r[b], i % 2 == 1);
        }
      }
    }
}

template <class Form>
void weights_gradient(const float* sum, std::int64_t o, std::int64_t c, TileRange inputs,
                      float* dw) {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  constexpr int D = Down::weights, A = Across::weights;
  for (std::int64_t i = inputs.first; i < inputs.first + inputs.count; ++i)
    for (std::int64_t k = 0; k < o; k += L) {
      V32 part[3][A];
      for (int b = 0; b < A; ++b) {
        V32 u[D], r[3];
        for (int a = 0; a < D; ++a) u[a] = load(sum + ((a * A + b) * c + i) * o + k);
        Down::weight_gradient(u, r);
        for (int a = 0; a < 3; ++a) part[a][b] = r[a];
      }
      for (int a = 0; a < 3; ++a) {
        V32 r[3];
        Across::weight_gradient(part[a], r);
        for (int b = 0; b < 3; ++b)
          for (int l = 0; l < L; ++l) dw[((k + l) * c + i) * 9 + a * 3 + b] = r[b][l];
      }
    }
}

/// R rows of v, panels of W slots, times a panel of N vectors; c slots a row.
template <class Slots, int R, int N, int W>
EXCITON_INLINE void multiply_block(const float* v, std::int64_t step, const float* u, float* m,
                                   std::int64_t c) {
  V32 sum[R][N] = {};
  for (std::int64_t k = 0; k < c; k += W, v += step)
    for (int i = 0; i < W; ++i, u += N * L) {
      V32 b[N];
      for (int n = 0; n < N; ++n) b[n] = load(u + n * L);
      for (int r = 0; r < R; ++r) {
        const float a = v[r * W + i];
        for (int n = 0; n < N; ++n) sum[r][n] = Slots::multiply_add(b[n], a, sum[r][n]);
      }
    }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) store(m + (r * N + n) * L, sum[r][n]);
}

template <class Slots, int N, int W>
EXCITON_INLINE void multiply_panel(const Panels& v, const float* u, float* m, std::int64_t rows,
                                   std::int64_t c) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 || N == 1 ? 12 : 6;  // sums that fit the registers
  std::int64_t r = 0;
  for (; r + R <= rows; r += R)
    multiply_block<Slots, R, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
  for (; r + 4 <= rows; r += 4)
    multiply_block<Slots, 4, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
  for (; r < rows; ++r) multiply_block<Slots, 1, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
}

/// f(W) for the panels of rows of c slots, as a constant.
template <class Slots, class F>
EXCITON_INLINE void with_panel(std::int64_t c, const F& f) {
  const std::int64_t width = panel(c);
  if (width == 2 * L) return f(std::integral_constant<int, 2 * L>{});
  if constexpr (Slots::halves) {  // rows of 16, 24 and 48 channels
    if (width == L / 2) return f(std::integral_constant<int, L / 2>{});
    if (width == L / 4 * 3) return f(std::integral_constant<int, L / 4 * 3>{});
    if (width == L / 2 * 3) return f(std::integral_constant<int, L / 2 * 3>{});
  }
  f(std::integral_constant<int, L>{});
}

template <class Slots>
void multiply(const Panels& v, const float* u, const Panels& m, std::int64_t rows, std::int64_t c,
              std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  with_panel<Slots>(c, [&]<int W>(std::integral_constant<int, W>) {
    for (std::int64_t k = 0; k < outputs; k += width) {
      float* const to = at_channel(m, width, k);
      width == 2 * L ? multiply_panel<Slots, 2, W>(v, u + k * c, to, rows, c)
                     : multiply_panel<Slots, 1, W>(v, u + k * c, to, rows, c);
    }
  });
}

/// R channels of v, panels of W, times a panel of N vectors of d. Meanwhile the `next` block's sums
/// are fetched: a wide layer's lie in the third-level cache, rows apart.
template <class Slots, int R, int N, int W>
EXCITON_INLINE void accumulate_block(const float* v, const float* d, float* sum, const float* next,
                                     std::int64_t rows, std::int64_t o) {
  V32 s[R][N];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) s[r][n] = load(sum + r * o + n * L);
  for (int r = 0; r < R; ++r)
    for (int k = 0; k < N * L; k += cache_line / 4) __builtin_prefetch(next + r * o + k, 1);
  for (std::int64_t t = 0; t < rows; ++t) {
    V32 b[N];
    for (int n = 0; n < N; ++n) b[n] = load(d + (t * N + n) * L);
    for (int r = 0; r < R; ++r) {
      const float a = v[t * W + r];
      for (int n = 0; n < N; ++n) s[r][n] = Slots::multiply_add(b[n], a, s[r][n]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) store(sum + r * o + n * L, s[r][n]);
}

template <class Slots, int N, int W>
EXCITON_INLINE void accumulate_panel(const Panels& v, const float* d, float* sum, std::int64_t rows,
                                     std::int64_t c, std::int64_t o) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 || N == 1 ? 8 : 4;
  static_assert(winograd_channels % R == 0);
  for (std::int64_t i = 0; i < c; i += R)
    accumulate_block<Slots, R, N, W>(at_channel(v, W, i), d, sum + i * o,
                                     sum + (i + R < c ? i + R : 0) * o, rows, o);
}

template <class Slots>
void accumulate(const Panels& v, const Panels& d, float* sum, std::int64_t rows, std::int64_t c,
                std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  with_panel<Slots>(c, [&]<int W>(std::integral_constant<int, W>) {
    for (std::int64_t k = 0; k < outputs; k += width) {
      const float* const from = at_channel(d, width, k);
      width == 2 * L ? accumulate_panel<Slots, 2, W>(v, from, sum + k, rows, c, o)
                     : accumulate_panel<Slots, 1, W>(v, from, sum + k, rows, c, o);
    }
  });
}

/// All of a form over maps of type T: slots of the maps and weights that are multiplied, and of the
/// maps whose gradients are.
template <class Form, class T, class Forward, class Gradient>
constexpr WinogradKernels<T> kernels_of() {
  using Down = typename Form::Down;
  using Across = typename Form::Across;
  WinogradKernels<T> k{.outputs_down = Down::outputs,
                       .outputs_across = Across::outputs,
                       .positions_down = Down::positions,
                       .positions_across = Across::positions,
                       .weights_down = Down::weights,
                       .weights_across = Across::weights,
                       .channels_a_slot = Forward::channels,
                       .tiles_a_slot = Gradient::tiles,
                       .panel = panel,
                       .weights = weights<Form, Gradient>,
                       .input = input<Form, Forward, T>,
                       .input_for_gradient = input<Form, Gradient, T>,
                       .output = output<Form, Forward, T>,
                       .output_gradient = nullptr,
                       .multiply = multiply<Forward>,
                       .accumulate = accumulate<Gradient>,
                       .weights_gradient = weights_gradient<Form>};
  if constexpr (!Down::transposed) k.output_gradient = output_gradient<Form, Gradient, T>;
  return k;
}

}  // namespace
}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
