// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/winograd_kernels.hpp"

#include "exciton/ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;
constexpr std::int64_t cache_line = 64;  // bytes

// The interpolation points are 0, +-p, +-q and infinity with p = 1/sqrt 2 and q = sqrt 2: their
// powers stay near 1, which loses less than the textbook's +-1, +-2.
constexpr float p = 0.70710678118654752F, q = 1.41421356237309505F;
constexpr float p3 = p * 0.5F, q3 = q * 2.0F;  // cubes

// A form names the lines of its transforms (t = B^T d, y = A^T m, u = G w) with their transposes,
// and how tiles lie: `inputs` pixels from `step` times the tile less `before` on give `outputs`.

/// F(4, 3): four outputs of three taps by six products.
struct Stride1 {
  static constexpr int inputs = 6, positions = 6, outputs = 4, step = 4, before = 1;

  static EXCITON_INLINE void input(const V32 (&d)[6], V32 (&t)[6]) {
    const V32 ep = d[4] - d[2] * 2.0F, op = d[3] - d[1] * 2.0F;
    const V32 eq = d[4] - d[2] * 0.5F, oq = d[3] - d[1] * 0.5F;
    t[0] = d[0] - d[2] * 2.5F + d[4];
    t[1] = ep + op * p;
    t[2] = ep - op * p;
    t[3] = eq + oq * q;
    t[4] = eq - oq * q;
    t[5] = d[1] - d[3] * 2.5F + d[5];
  }
  static EXCITON_INLINE void output(const V32 (&m)[6], V32 (&y)[4]) {
    const V32 sp = m[1] + m[2], dp = m[1] - m[2], sq = m[3] + m[4], dq = m[3] - m[4];
    y[0] = m[0] + sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * 0.5F + sq * 2.0F;
    y[3] = dp * p3 + dq * q3 + m[5];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[4], V32 (&d)[6]) {
    const V32 ep = y[0] + y[2] * 0.5F, op = y[1] * p + y[3] * p3;
    const V32 eq = y[0] + y[2] * 2.0F, oq = y[1] * q + y[3] * q3;
    d[0] = y[0];
    d[1] = ep + op;
    d[2] = ep - op;
    d[3] = eq + oq;
    d[4] = eq - oq;
    d[5] = y[3];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[6]) {
    const V32 ep = (w[0] + w[2] * 0.5F) * (-2.0F / 3), op = w[1] * (-2.0F / 3 * p);
    const V32 eq = (w[0] + w[2] * 2.0F) * (1.0F / 6), oq = w[1] * (1.0F / 6 * q);
    u[0] = w[0];
    u[1] = ep + op;
    u[2] = ep - op;
    u[3] = eq + oq;
    u[4] = eq - oq;
    u[5] = w[2];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[6], V32 (&w)[3]) {
    const V32 sp = (u[1] + u[2]) * (-2.0F / 3), dp = (u[1] - u[2]) * (-2.0F / 3 * p);
    const V32 sq = (u[3] + u[4]) * (1.0F / 6), dq = (u[3] - u[4]) * (1.0F / 6 * q);
    w[0] = u[0] + sp + sq;
    w[1] = dp + dq;
    w[2] = sp * 0.5F + sq * 2.0F + u[5];
  }
};

/// F(4, 2): four outputs of two taps by five products, the points without 0.
struct TwoTaps {
  static EXCITON_INLINE void input(const V32 (&d)[5], V32* t) {
    const V32 ep = (d[2] - d[0] * 2.0F) * p, op = d[3] - d[1] * 2.0F;
    const V32 eq = (d[2] - d[0] * 0.5F) * q, oq = d[3] - d[1] * 0.5F;
    t[0] = op + ep;
    t[1] = op - ep;
    t[2] = oq + eq;
    t[3] = oq - eq;
    t[4] = d[0] - d[2] * 2.5F + d[4];
  }
  static EXCITON_INLINE void output(const V32* m, V32 (&y)[4]) {
    const V32 sp = m[0] + m[1], dp = m[0] - m[1], sq = m[2] + m[3], dq = m[2] - m[3];
    y[0] = sp + sq;
    y[1] = dp * p + dq * q;
    y[2] = sp * 0.5F + sq * 2.0F;
    y[3] = dp * p3 + dq * q3 + m[4];
  }
};

/// The taps of a stride of two part: the outer two see the odd pixels, the middle one the even.
/// Five products for the former and four for the latter, which share one weight.
struct Stride2 {
  static constexpr int inputs = 9, positions = 9, outputs = 4, step = 8, before = 1;

  static EXCITON_INLINE void input(const V32 (&d)[9], V32 (&t)[9]) {
    const V32 odd[5] = {d[0], d[2], d[4], d[6], d[8]};
    TwoTaps::input(odd, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[1 + 2 * i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[4]) {
    TwoTaps::output(m, y);
    for (int i = 0; i < 4; ++i) y[i] += m[5 + i];
  }
  static EXCITON_INLINE void output_gradient(const V32 (&y)[4], V32 (&d)[9]) {
    const V32 ep = y[0] + y[2] * 0.5F, op = y[1] * p + y[3] * p3;
    const V32 eq = y[0] + y[2] * 2.0F, oq = y[1] * q + y[3] * q3;
    d[0] = ep + op;
    d[1] = ep - op;
    d[2] = eq + oq;
    d[3] = eq - oq;
    d[4] = y[3];
    for (int i = 0; i < 4; ++i) d[5 + i] = y[i];
  }
  static EXCITON_INLINE void weight(const V32 (&w)[3], V32 (&u)[6]) {
    const V32 ep = w[0] * (-1.0F / 3 / p), eq = w[0] * (1.0F / 3 / q);
    u[0] = ep - w[2] * (1.0F / 3);
    u[1] = w[2] * (-1.0F / 3) - ep;
    u[2] = eq + w[2] * (1.0F / 3);
    u[3] = w[2] * (1.0F / 3) - eq;
    u[4] = w[2];
    u[5] = w[1];
  }
  static EXCITON_INLINE void weight_gradient(const V32 (&u)[6], V32 (&w)[3]) {
    w[0] = (u[0] - u[1]) * (-1.0F / 3 / p) + (u[2] - u[3]) * (1.0F / 3 / q);
    w[1] = u[5];
    w[2] = (u[2] + u[3] - u[0] - u[1]) * (1.0F / 3) + u[4];
  }
};

/// The data gradient of Stride2: even pixels of dx take the middle tap of one pixel of dy, odd ones
/// the outer taps of two. It shares the lines of the weights, rotated by 180 degrees.
struct Stride2Transposed : Stride2 {
  static constexpr int inputs = 5, outputs = 8, step = 4, before = 0;

  static EXCITON_INLINE void input(const V32 (&d)[5], V32 (&t)[9]) {
    TwoTaps::input(d, t);
    for (int i = 0; i < 4; ++i) t[5 + i] = d[i];
  }
  static EXCITON_INLINE void output(const V32 (&m)[9], V32 (&y)[8]) {
    V32 odd[4];
    TwoTaps::output(m, odd);
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

std::int64_t panel(std::int64_t c) { return c % (2 * L) == 0 ? 2 * L : L; }

/// Channel k of the first row of the first matrix.
EXCITON_INLINE float* at_channel(const Panels& m, std::int64_t width, std::int64_t k) {
  return m.data + k / width * m.step + k % width;
}

/// Pixels of `size` from `at` on, at most `most`.
EXCITON_INLINE int left_of(std::int64_t size, std::int64_t at, int most) {
  return size - at < most ? static_cast<int>(size - at) : most;
}

template <class Form, class T>
void input(const T* x, const TiledMaps& maps, TileRange tiles, const T* zeros, const Panels& v) {
  constexpr int I = Form::inputs, P = Form::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c), stride = v.stride;
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
      float* to_v = at_channel(v, width, k) + t * width;
      for (int i = 0; i < P; ++i) {
        V32 s[P];
        Form::input(part[i], s);
        for (int j = 0; j < P; ++j) store(to_v + (i * P + j) * stride, s[j]);
      }
    }
  }
}

template <class Form, class T>
void output(const Panels& m, const TiledMaps& maps, TileRange tiles, const WinogradEpilogue<T>& e,
            T* y) {
  constexpr int O = Form::outputs, P = Form::positions;
  const std::int64_t c = maps.c, line = maps.w * c, width = panel(c), stride = m.stride;
  TileCursor at(maps, tiles.first);
  for (std::int64_t t = 0; t < tiles.count; ++t, at.next(maps)) {
    const std::int64_t corner = ((at.image * maps.h + at.row * O) * maps.w + at.column * O) * c;
    const int down = left_of(maps.h, at.row * O, O);
    const int across = left_of(maps.w, at.column * O, O);
    // Few channels leave the processor's own prefetch too little time between two tiles.
    for (int i = 0; i < down; ++i)
      for (std::int64_t k = 0; k < O * c; k += cache_line / static_cast<std::int64_t>(sizeof(T)))
        __builtin_prefetch(y + corner + i * line + 2 * O * c + k, 1);
    for (std::int64_t k = 0; k < c; k += L) {
      const float* from = at_channel(m, width, k) + t * width;
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

template <class Form, class T>
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
      float* to = at_channel(d, width, k) + t * width;
      for (int i = 0; i < P; ++i) {
        V32 r[P];
        Form::output_gradient(part[i], r);
        for (int j = 0; j < P; ++j) store(to + (i * P + j) * stride, r[j]);
      }
    }
  }
}

template <class Form>
void weights(const float* w, std::int64_t o, std::int64_t c, bool rotated, TileRange outputs,
             float* packed) {
  const std::int64_t in = rotated ? o : c, out = rotated ? c : o, width = panel(out);
  const std::int64_t next_output = rotated ? 9 : c * 9, next_input = rotated ? c * 9 : 9;
  for (std::int64_t k = outputs.first; k < outputs.first + outputs.count; k += L)
    for (std::int64_t i = 0; i < in; ++i) {
      const float* from = w + k * next_output + i * next_input;
      V32 window[3][3];
      for (int tap = 0; tap < 9; ++tap) {
        const int source = rotated ? 8 - tap : tap;
        for (int l = 0; l < L; ++l) window[tap % 3][tap / 3][l] = from[l * next_output + source];
      }
      V32 part[6][3];  // [position down][column]
      for (int j = 0; j < 3; ++j) {
        V32 r[6];
        Form::weight(window[j], r);
        for (int a = 0; a < 6; ++a) part[a][j] = r[a];
      }
      for (int a = 0; a < 6; ++a) {
        V32 r[6];
        Form::weight(part[a], r);
        for (int b = 0; b < 6; ++b) {
          float* to = packed + ((a * 6 + b) * out + k / width * width) * in + i * width + k % width;
          store(to, r[b]);
        }
      }
    }
}

template <class Form>
void weights_gradient(const float* sum, std::int64_t o, std::int64_t c, TileRange inputs,
                      float* dw) {
  for (std::int64_t i = inputs.first; i < inputs.first + inputs.count; ++i)
    for (std::int64_t k = 0; k < o; k += L) {
      V32 part[3][6];
      for (int b = 0; b < 6; ++b) {
        V32 u[6], r[3];
        for (int a = 0; a < 6; ++a) u[a] = load(sum + ((a * 6 + b) * c + i) * o + k);
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
        for (int n = 0; n < N; ++n) sum[r][n] = multiply_add(b[n], a, sum[r][n]);
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
      for (int n = 0; n < N; ++n) s[r][n] = multiply_add(b[n], a, s[r][n]);
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

template <class T>
const WinogradKernels<T>& winograd_kernels(WinogradForm form) {
  static constexpr auto of = []<class Form>(Form, auto gradient) {
    return WinogradKernels<T>{Form::outputs,  Form::positions,       panel,    weights<Form>,
                              input<Form, T>, output<Form, T>,       gradient, multiply,
                              accumulate,     weights_gradient<Form>};
  };
  static constexpr WinogradKernels<T> kernels[] = {of(Stride1{}, output_gradient<Stride1, T>),
                                                   of(Stride2{}, output_gradient<Stride2, T>),
                                                   of(Stride2Transposed{}, nullptr)};
  return kernels[static_cast<int>(form)];
}
template const WinogradKernels<float>& winograd_kernels<float>(WinogradForm);
template const WinogradKernels<bf16>& winograd_kernels<bf16>(WinogradForm);

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
