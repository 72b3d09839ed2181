// Compiled once an instruction set; see vector.hpp.
#include "ops/simd/winograd_kernels.hpp"

#include "ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;

// The interpolation points are 0, +-p, +-q and infinity with p = 1/sqrt 2 and q = sqrt 2: their
// powers stay near 1, which loses less than the textbook's +-1, +-2.
constexpr float p = 0.70710678118654752F, q = 1.41421356237309505F;
constexpr float p3 = p * 0.5F, q3 = q * 2.0F;  // cubes

/// t = B^T d
EXCITON_INLINE void input_line(const V32 (&d)[6], V32 (&t)[6]) {
  const V32 ep = d[4] - d[2] * 2.0F, op = d[3] - d[1] * 2.0F;
  const V32 eq = d[4] - d[2] * 0.5F, oq = d[3] - d[1] * 0.5F;
  t[0] = d[0] - d[2] * 2.5F + d[4];
  t[1] = ep + op * p;
  t[2] = ep - op * p;
  t[3] = eq + oq * q;
  t[4] = eq - oq * q;
  t[5] = d[1] - d[3] * 2.5F + d[5];
}

/// y = A^T m
EXCITON_INLINE void output_line(const V32 (&m)[6], V32 (&y)[4]) {
  const V32 sp = m[1] + m[2], dp = m[1] - m[2], sq = m[3] + m[4], dq = m[3] - m[4];
  y[0] = m[0] + sp + sq;
  y[1] = dp * p + dq * q;
  y[2] = sp * 0.5F + sq * 2.0F;
  y[3] = dp * p3 + dq * q3 + m[5];
}

/// d = A y
EXCITON_INLINE void output_gradient_line(const V32 (&y)[4], V32 (&d)[6]) {
  const V32 ep = y[0] + y[2] * 0.5F, op = y[1] * p + y[3] * p3;
  const V32 eq = y[0] + y[2] * 2.0F, oq = y[1] * q + y[3] * q3;
  d[0] = y[0];
  d[1] = ep + op;
  d[2] = ep - op;
  d[3] = eq + oq;
  d[4] = eq - oq;
  d[5] = y[3];
}

/// u = G w
EXCITON_INLINE void weight_line(const V32 (&w)[3], V32 (&u)[6]) {
  const V32 ep = (w[0] + w[2] * 0.5F) * (-2.0F / 3), op = w[1] * (-2.0F / 3 * p);
  const V32 eq = (w[0] + w[2] * 2.0F) * (1.0F / 6), oq = w[1] * (1.0F / 6 * q);
  u[0] = w[0];
  u[1] = ep + op;
  u[2] = ep - op;
  u[3] = eq + oq;
  u[4] = eq - oq;
  u[5] = w[2];
}

/// w = G^T u
EXCITON_INLINE void weight_gradient_line(const V32 (&u)[6], V32 (&w)[3]) {
  const V32 sp = (u[1] + u[2]) * (-2.0F / 3), dp = (u[1] - u[2]) * (-2.0F / 3 * p);
  const V32 sq = (u[3] + u[4]) * (1.0F / 6), dq = (u[3] - u[4]) * (1.0F / 6 * q);
  w[0] = u[0] + sp + sq;
  w[1] = dp + dq;
  w[2] = sp * 0.5F + sq * 2.0F + u[5];
}

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

void input(const float* x, const TiledMaps& maps, TileRange tiles, const float* zeros,
           const Panels& v) {
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c);
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const float* image = x + at.image * maps.h * line;
    const std::int64_t top = at.row * 4 - 1, left = at.column * 4 - 1;
    const float* rows[6];
    for (int i = 0; i < 6; ++i) {
      const std::int64_t r = top + i;
      rows[i] = r >= 0 && r < maps.h ? image + r * line : zeros;
    }
    const int from = left < 0 ? 1 : 0;
    const int to = left_of(maps.w, left, 6);
    for (std::int64_t k = 0; k < c; k += L) {
      V32 part[6][6];  // [position down][column]
      for (int j = 0; j < 6; ++j) {
        if (j < from || j >= to) {
          for (auto& row : part) row[j] = V32{};
          continue;
        }
        const std::int64_t offset = (left + j) * c + k;
        V32 d[6], s[6];
        for (int i = 0; i < 6; ++i) d[i] = load(rows[i] + offset);
        input_line(d, s);
        for (int i = 0; i < 6; ++i) part[i][j] = s[i];
      }
      float* to_v = at_channel(v, width, k) + t * width;
      for (int i = 0; i < 6; ++i) {
        V32 s[6];
        input_line(part[i], s);
        for (int j = 0; j < 6; ++j) store(to_v + (i * 6 + j) * v.stride, s[j]);
      }
    }
  }
}

void output(const Panels& m, const TiledMaps& maps, TileRange tiles, const WinogradEpilogue& e,
            float* y) {
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c);
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const std::int64_t corner = ((at.image * maps.h + at.row * 4) * maps.w + at.column * 4) * c;
    const int down = left_of(maps.h, at.row * 4, 4);
    const int across = left_of(maps.w, at.column * 4, 4);
    for (std::int64_t k = 0; k < c; k += L) {
      const float* from = at_channel(m, width, k) + t * width;
      V32 part[4][6];
      for (int j = 0; j < 6; ++j) {
        V32 s[6], r[4];
        for (int i = 0; i < 6; ++i) s[i] = load(from + (i * 6 + j) * m.stride);
        output_line(s, r);
        for (int i = 0; i < 4; ++i) part[i][j] = r[i];
      }
      const V32 bias = e.bias ? load(e.bias + k) : V32{};
      for (int i = 0; i < down; ++i) {
        V32 r[4];
        output_line(part[i], r);
        const std::int64_t to = corner + i * line + k;
        for (int j = 0; j < 4; ++j) {
          if (j >= across) break;
          V32 out = r[j] + bias;
          if (e.gates) out *= load(e.gates + at.image * c + k);
          if (e.shortcut) out += load(e.shortcut + to + j * c);
          if (e.relu) out = out > V32{} ? out : V32{};
          store(y + to + j * c, out);
        }
      }
    }
  }
}

void output_gradient(const float* dy, const TiledMaps& maps, TileRange tiles, const Panels& d) {
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c);
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const float* corner = dy + ((at.image * maps.h + at.row * 4) * maps.w + at.column * 4) * c;
    const int down = left_of(maps.h, at.row * 4, 4);
    const int across = left_of(maps.w, at.column * 4, 4);
    for (std::int64_t k = 0; k < c; k += L) {
      V32 part[6][4];
      for (int j = 0; j < 4; ++j) {
        V32 s[4], r[6];
        for (int i = 0; i < 4; ++i)
          s[i] = i < down && j < across ? load(corner + i * line + j * c + k) : V32{};
        output_gradient_line(s, r);
        for (int i = 0; i < 6; ++i) part[i][j] = r[i];
      }
      float* to = at_channel(d, width, k) + t * width;
      for (int i = 0; i < 6; ++i) {
        V32 r[6];
        output_gradient_line(part[i], r);
        for (int j = 0; j < 6; ++j) store(to + (i * 6 + j) * d.stride, r[j]);
      }
    }
  }
}

void weights(const float* w, std::int64_t o, std::int64_t c, bool turned, TileRange outputs,
             float* packed) {
  const std::int64_t in = turned ? o : c, out = turned ? c : o, width = panel(out);
  const std::int64_t next_output = turned ? 9 : c * 9, next_input = turned ? c * 9 : 9;
  for (std::int64_t k = outputs.first; k < outputs.first + outputs.count; k += L)
    for (std::int64_t i = 0; i < in; ++i) {
      const float* from = w + k * next_output + i * next_input;
      V32 window[3][3];
      for (int tap = 0; tap < 9; ++tap) {
        const int source = turned ? 8 - tap : tap;
        for (int l = 0; l < L; ++l) window[tap % 3][tap / 3][l] = from[l * next_output + source];
      }
      V32 part[6][3];  // [position down][column]
      for (int j = 0; j < 3; ++j) {
        V32 r[6];
        weight_line(window[j], r);
        for (int a = 0; a < 6; ++a) part[a][j] = r[a];
      }
      for (int a = 0; a < 6; ++a) {
        V32 r[6];
        weight_line(part[a], r);
        for (int b = 0; b < 6; ++b) {
          float* to = packed + ((a * 6 + b) * out + k / width * width) * in + i * width + k % width;
          store(to, r[b]);
        }
      }
    }
}

void weights_gradient(const float* sum, std::int64_t o, std::int64_t c, TileRange inputs,
                      float* dw) {
  for (std::int64_t i = inputs.first; i < inputs.first + inputs.count; ++i)
    for (std::int64_t k = 0; k < o; k += L) {
      V32 part[3][6];
      for (int b = 0; b < 6; ++b) {
        V32 u[6], r[3];
        for (int a = 0; a < 6; ++a) u[a] = load(sum + ((a * 6 + b) * c + i) * o + k);
        weight_gradient_line(u, r);
        for (int a = 0; a < 3; ++a) part[a][b] = r[a];
      }
      for (int a = 0; a < 3; ++a) {
        V32 r[3];
        weight_gradient_line(part[a], r);
        for (int b = 0; b < 3; ++b)
          for (int l = 0; l < L; ++l) dw[((k + l) * c + i) * 9 + a * 3 + b] = r[b][l];
      }
    }
}

/// R rows of v, panels of W channels, times a panel of N vectors.
template <int R, int N, int W>
EXCITON_INLINE void multiply_block(const float* v, std::int64_t step, const float* u, float* m,
                                   std::int64_t c) {
  V32 sum[R][N] = {};
  for (std::int64_t k = 0; k < c; k += W, v += step)
    for (int i = 0; i < W; ++i, u += N * L) {
      V32 b[N];
      for (int n = 0; n < N; ++n) b[n] = load(u + n * L);
      for (int r = 0; r < R; ++r) {
        const float a = v[r * W + i];
        for (int n = 0; n < N; ++n) sum[r][n] += b[n] * a;
      }
    }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) store(m + (r * N + n) * L, sum[r][n]);
}

template <int N, int W>
EXCITON_INLINE void multiply_panel(const Panels& v, const float* u, float* m, std::int64_t rows,
                                   std::int64_t c) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 || N == 1 ? 12 : 6;  // sums that fit the registers
  std::int64_t r = 0;
  for (; r + R <= rows; r += R)
    multiply_block<R, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
  for (; r + 4 <= rows; r += 4)
    multiply_block<4, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
  for (; r < rows; ++r) multiply_block<1, N, W>(v.data + r * W, v.step, u, m + r * N * L, c);
}

void multiply(const Panels& v, const float* u, const Panels& m, std::int64_t rows, std::int64_t c,
              std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  const bool wide = panel(c) == 2 * L;
  for (std::int64_t k = 0; k < outputs; k += width) {
    const float* weights = u + k * c;
    float* to = at_channel(m, width, k);
    if (width == 2 * L)
      wide ? multiply_panel<2, 2 * L>(v, weights, to, rows, c)
           : multiply_panel<2, L>(v, weights, to, rows, c);
    else
      wide ? multiply_panel<1, 2 * L>(v, weights, to, rows, c)
           : multiply_panel<1, L>(v, weights, to, rows, c);
  }
}

/// R channels of v, panels of W, times a panel of N vectors of d.
template <int R, int N, int W>
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
      for (int n = 0; n < N; ++n) s[r][n] += b[n] * a;
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) store(sum + r * o + n * L, s[r][n]);
}

template <int N, int W>
EXCITON_INLINE void accumulate_panel(const Panels& v, const float* d, float* sum, std::int64_t rows,
                                     std::int64_t c, std::int64_t o) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 || N == 1 ? 8 : 4;
  static_assert(winograd_channels % R == 0);
  for (std::int64_t i = 0; i < c; i += R)
    accumulate_block<R, N, W>(at_channel(v, W, i), d, sum + i * o, rows, o);
}

void accumulate(const Panels& v, const Panels& d, float* sum, std::int64_t rows, std::int64_t c,
                std::int64_t o, std::int64_t outputs) {
  const std::int64_t width = panel(o);
  const bool wide = panel(c) == 2 * L;
  for (std::int64_t k = 0; k < outputs; k += width) {
    const float* from = at_channel(d, width, k);
    if (width == 2 * L)
      wide ? accumulate_panel<2, 2 * L>(v, from, sum + k, rows, c, o)
           : accumulate_panel<2, L>(v, from, sum + k, rows, c, o);
    else
      wide ? accumulate_panel<1, 2 * L>(v, from, sum + k, rows, c, o)
           : accumulate_panel<1, L>(v, from, sum + k, rows, c, o);
  }
}

}  // namespace

const WinogradKernels& winograd_kernels();
const WinogradKernels& winograd_kernels() {
  static constexpr WinogradKernels kernels{panel,           weights,  input,      output,
                                           output_gradient, multiply, accumulate, weights_gradient};
  return kernels;
}

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
