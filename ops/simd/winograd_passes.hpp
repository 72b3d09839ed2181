/// The passes of Winograd's convolutions for any form of transforms and either kind of products;
/// kernel files alone include it (see vector.hpp). What lies between the passes are slots of 32
/// bits: an f32 each, or two bf16, which one instruction multiplies with two others and adds.
#pragma once
#include "exciton/ops/simd/vector.hpp"
#include "exciton/ops/simd/winograd_kernels.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;
constexpr std::int64_t cache_line = 64;  // bytes

// A form names the lines of its transforms (t = B^T d, y = A^T m, u = G w) with their transposes,
// and how tiles lie: `inputs` pixels from `step` times the tile less `before` on give `outputs`.
// Weights are transformed to `weights` each way.

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

std::int64_t panel(std::int64_t c) { return c % (2 * L) == 0 ? 2 * L : L; }

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
  static constexpr std::int64_t channels = 1, tiles = 1;  ///< in a slot
  static EXCITON_INLINE void put(float* slot, V32 v, bool) { store(slot, v); }
  static EXCITON_INLINE V32 multiply_add(V32 b, float a, V32 sum) {
    return EXCITON_TARGET::multiply_add(b, a, sum);
  }
};

#ifdef __AVX512BF16__
/// Pairs of bf16. What is rounded is rounded to nearest even, numbers too small for a normal one
/// to zero.
struct Pairs {
  static EXCITON_INLINE V32 multiply_add(V32 b, float a, V32 sum) {
    return V32(_mm512_dpbf16_ps(sum, as_pairs(b), as_pairs(V32(_mm512_set1_ps(a)))));
  }
  static EXCITON_INLINE __m512bh as_pairs(V32 v) {
    __m512bh pairs;
    std::memcpy(&pairs, &v, sizeof v);
    return pairs;
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
  static constexpr std::int64_t channels = 2, tiles = 1;
  static EXCITON_INLINE void put(float* slot, V32 v, bool) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(slot), rounded(v));
  }
};
/// The same of two tiles, or of two rows of a matrix: the first clears the second's half.
struct TilePairs : Pairs {
  static constexpr std::int64_t channels = 1, tiles = 2;
  static EXCITON_INLINE void put(float* slot, V32 v, bool second) {
    __m512i bits = _mm512_maskz_cvtepu16_epi32(0xffff, rounded(v));
    if (second) bits = _mm512_or_si512(_mm512_slli_epi32(bits, 16), _mm512_loadu_si512(slot));
    _mm512_storeu_si512(slot, bits);
  }
};
#endif

template <class Form, class Slots, class T>
void input(const T* x, const TiledMaps& maps, TileRange tiles, const T* zeros, const Panels& v) {
  constexpr int I = Form::inputs, P = Form::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c / Slots::channels),
                     stride = v.stride;
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const T* image = x + at.image * maps.h * line;
    const std::int64_t top = at.row * Form::step - Form::before;
    const std::int64_t left = at.column * Form::step - Form::before;
    const T* rows[I];
    for (int i = 0; i < I; ++i) {
      const std::int64_t r = top + i;
      rows[i] = r >= 0 && r < maps.h ? image + r * line : zeros;
    }
    const int from = left < 0 ? 1 : 0;
    const int to = left_of(maps.w, left, I);
    for (std::int64_t k = 0; k < c; k += L) {
      V32 part[P][I];  // [position down][column]
      for (int j = 0; j < I; ++j) {
        if (j < from || j >= to) {
          for (auto& row : part) row[j] = V32{};
          continue;
        }
        const std::int64_t offset = (left + j) * c + k;
        V32 d[I], s[P];
        for (int i = 0; i < I; ++i) d[i] = load(rows[i] + offset);
        Form::input(d, s);
        for (int i = 0; i < P; ++i) part[i][j] = s[i];
      }
      float* to_v = at_channel(v, width, k / Slots::channels) + t / Slots::tiles * width;
      for (int i = 0; i < P; ++i) {
        V32 s[P];
        Form::input(part[i], s);
        for (int j = 0; j < P; ++j) Slots::put(to_v + (i * P + j) * stride, s[j], t % 2 == 1);
      }
    }
  }
}

template <class Form, class T>
void output(const Panels& m, const TiledMaps& maps, TileRange tiles, TileRange channels,
            const WinogradEpilogue<T>& e, T* y) {
  constexpr int O = Form::outputs, P = Form::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c), stride = m.stride;
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const std::int64_t corner = ((at.image * maps.h + at.row * O) * maps.w + at.column * O) * c;
    const int down = left_of(maps.h, at.row * O, O);
    const int across = left_of(maps.w, at.column * O, O);
    // Few channels leave the processor's own prefetch too little time between two tiles.
    for (int i = 0; i < down && channels.count == c; ++i)
      for (std::int64_t k = 0; k < O * c; k += cache_line / static_cast<std::int64_t>(sizeof(T)))
        __builtin_prefetch(y + corner + i * line + 2 * O * c + k, 1);
    for (std::int64_t k = channels.first; k < channels.first + channels.count; k += L) {
      const float* from = at_channel(m, width, k - channels.first) + t * width;
      V32 part[O][P];
      for (int j = 0; j < P; ++j) {
        V32 s[P], r[O];
        for (int i = 0; i < P; ++i) s[i] = load(from + (i * P + j) * stride);
        Form::output(s, r);
        for (int i = 0; i < O; ++i) part[i][j] = r[i];
      }
      const V32 bias = e.bias ? load(e.bias + k) : V32{};
      for (int i = 0; i < down; ++i) {
        V32 r[O];
        Form::output(part[i], r);
        const std::int64_t to = corner + i * line + k;
        for (int j = 0; j < O; ++j) {
          if (j >= across) break;
          V32 out = r[j] + bias;
          if (e.gates) out *= load(e.gates + at.image * c + k);
          if (e.shortcut) out += load(e.shortcut + to + j * c);
          if (e.relu) out = relu(out);
          store(y + to + j * c, out);
        }
      }
    }
  }
}

template <class Form, class Slots, class T>
void output_gradient(const T* dy, const TiledMaps& maps, TileRange tiles, const Panels& d) {
  constexpr int O = Form::outputs, P = Form::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c), stride = d.stride;
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const T* corner = dy + ((at.image * maps.h + at.row * O) * maps.w + at.column * O) * c;
    const int down = left_of(maps.h, at.row * O, O);
    const int across = left_of(maps.w, at.column * O, O);
    for (std::int64_t k = 0; k < c; k += L) {
      V32 part[P][O];
      for (int j = 0; j < O; ++j) {
        V32 s[O], r[P];
        for (int i = 0; i < O; ++i)
          s[i] = i < down && j < across ? load(corner + i * line + j * c + k) : V32{};
        Form::output_gradient(s, r);
        for (int i = 0; i < P; ++i) part[i][j] = r[i];
      }
      float* to = at_channel(d, width, k) + t / Slots::tiles * width;
      for (int i = 0; i < P; ++i) {
        V32 r[P];
        Form::output_gradient(part[i], r);
        for (int j = 0; j < P; ++j) Slots::put(to + (i * P + j) * stride, r[j], t % 2 == 1);
      }
    }
  }
}

/// `Rows` pairs up neighbouring input channels, as ChannelPairs do in the maps.
template <class Form, class Rows>
void weights(const float* w, std::int64_t o, std::int64_t c, bool rotated, TileRange outputs,
             float* packed) {
  constexpr int A = Form::weights;
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
      V32 part[A][3];  // [position down][column]
      for (int j = 0; j < 3; ++j) {
        V32 r[A];
        Form::weight(window[j], r);
        for (int a = 0; a < A; ++a) part[a][j] = r[a];
      }
      for (int a = 0; a < A; ++a) {
        V32 r[A];
        Form::weight(part[a], r);
        for (int b = 0; b < A; ++b) {
          float* to = packed + ((a * A + b) * out + k / width * width) * rows +
                      i / Rows::tiles * width + k % width;
          Rows::put(to, r[b], i % 2 == 1);
        }
      }
    }
}

template <class Form>
void weights_gradient(const float* sum, std::int64_t o, std::int64_t c, TileRange inputs,
                      float* dw) {
  constexpr int A = Form::weights;
  for (std::int64_t i = inputs.first; i < inputs.first + inputs.count; ++i)
    for (std::int64_t k = 0; k < o; k += L) {
      V32 part[3][A];
      for (int b = 0; b < A; ++b) {
        V32 u[A], r[3];
        for (int a = 0; a < A; ++a) u[a] = load(sum + ((a * A + b) * c + i) * o + k);
        Form::weight_gradient(u, r);
        for (int a = 0; a < 3; ++a) part[a][b] = r[a];
      }
      for (int a = 0; a < 3; ++a) {
        V32 r[3];
        Form::weight_gradient(part[a], r);
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

template <class Slots>
void multiply(const Panels& v, const float* u, const Panels& m, std::int64_t rows, std::int64_t c,
              std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  const bool wide = panel(c) == 2 * L;
  for (std::int64_t k = 0; k < outputs; k += width) {
    const float* weights = u + k * c;
    float* to = at_channel(m, width, k);
    if (width == 2 * L)
      wide ? multiply_panel<Slots, 2, 2 * L>(v, weights, to, rows, c)
           : multiply_panel<Slots, 2, L>(v, weights, to, rows, c);
    else
      wide ? multiply_panel<Slots, 1, 2 * L>(v, weights, to, rows, c)
           : multiply_panel<Slots, 1, L>(v, weights, to, rows, c);
  }
}

/// R channels of v, panels of W, times a panel of N vectors of d.
template <class Slots, int R, int N, int W>
EXCITON_INLINE void accumulate_block(const float* v, const float* d, float* sum, std::int64_t rows,
                                     std::int64_t o) {
  V32 s[R][N];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) s[r][n] = load(sum + r * o + n * L);
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
    accumulate_block<Slots, R, N, W>(at_channel(v, W, i), d, sum + i * o, rows, o);
}

template <class Slots>
void accumulate(const Panels& v, const Panels& d, float* sum, std::int64_t rows, std::int64_t c,
                std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  const bool wide = panel(c) == 2 * L;
  for (std::int64_t k = 0; k < outputs; k += width) {
    const float* from = at_channel(d, width, k);
    if (width == 2 * L)
      wide ? accumulate_panel<Slots, 2, 2 * L>(v, from, sum + k, rows, c, o)
           : accumulate_panel<Slots, 2, L>(v, from, sum + k, rows, c, o);
    else
      wide ? accumulate_panel<Slots, 1, 2 * L>(v, from, sum + k, rows, c, o)
           : accumulate_panel<Slots, 1, L>(v, from, sum + k, rows, c, o);
  }
}

/// All of a form over maps of type T: slots of the maps and weights that are multiplied, and of the
/// maps whose gradients are.
template <class Form, class T, class Forward, class Gradient>
constexpr WinogradKernels<T> kernels_of() {
  WinogradKernels<T> k{.outputs = Form::outputs,
                       .positions = Form::positions,
                       .weights_across = Form::weights,
                       .channels_a_slot = Forward::channels,
                       .tiles_a_slot = Gradient::tiles,
                       .panel = panel,
                       .weights = weights<Form, Gradient>,
                       .input = input<Form, Forward, T>,
                       .input_for_gradient = input<Form, Gradient, T>,
                       .output = output<Form, T>,
                       .output_gradient = nullptr,
                       .multiply = multiply<Forward>,
                       .accumulate = accumulate<Gradient>,
                       .weights_gradient = weights_gradient<Form>};
  if constexpr (!Form::transposed) k.output_gradient = output_gradient<Form, Gradient, T>;
  return k;
}

}  // namespace
}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
