// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/direct_kernels.hpp"

#include "exciton/ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;

/// The place of a result in its grid.
struct Cursor {
  std::int64_t image, i, j;
  EXCITON_INLINE Cursor(const ResultGrid& grid, std::int64_t result)
      : image(result / (grid.h * grid.w)), i(result / grid.w % grid.h), j(result % grid.w) {}
  EXCITON_INLINE void next(const ResultGrid& grid) {
    if (++j < grid.w) return;
    j = 0;
    if (++i < grid.h) return;
    i = 0;
    ++image;
  }
};

/// A vector of channels, or the first n lanes of one.
template <bool Part>
struct Lanes {
  int n = L;
  template <class T>
  EXCITON_INLINE V32 get(const T* p) const {
    if constexpr (Part)
      return load_part(p, n);
    else
      return load(p);
  }
  template <class T>
  EXCITON_INLINE void put(T* p, V32 v) const {
    if constexpr (Part)
      store_part(p, v, n);
    else
      store(p, v);
  }
};

/// f(Lanes, first channel) for vectors that cover c channels.
template <class F>
EXCITON_INLINE void for_lanes(std::int64_t c, F&& f) {
  std::int64_t k = 0;
  for (; k + L <= c; k += L) f(Lanes<false>{}, k);
  if (k < c) f(Lanes<true>{static_cast<int>(c - k)}, k);
}

/// The columns first .. last of a run that lie inside rows of w pixels, when it begins at q.
struct Inside {
  std::int64_t first, last;
};
EXCITON_INLINE Inside inside(const TapRun& run, std::int64_t q, std::int64_t w) {
  const std::int64_t first = q < 0 ? (-q < run.taps ? -q : run.taps) : 0;
  const std::int64_t end = w - q < run.taps ? w - q : run.taps;
  return {first, end < first ? first : end};
}

/// to[0 .. n) = from, widened. Reads nothing else.
template <class T>
EXCITON_INLINE float* copy(const T* from, std::int64_t n, float* to) {
  if (n < L) {  // with n = 0 `from` may lie outside the maps
    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
    return to + n;
  }
  for (std::int64_t i = 0; i + L <= n; i += L) store(to + i, load(from + i));
  store(to + n - L, load(from + n - L));  // the rest, and some of it again
  return to + n;
}
EXCITON_INLINE float* clear(std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = 0;
  return to + n;
}

/// Rows of whole vectors go straight to their panels.
template <class T>
EXCITON_INLINE void gather_vectors(const SourceMaps<T>& x, const ResultGrid& grid,
                                   const TapRuns& taps, const Cursor& at, float* to,
                                   std::int64_t step) {
  const T* image = x.data + at.image * x.h * x.w * x.pixel;
  for (std::int64_t u = 0; u < taps.count; ++u) {
    const TapRun& run = taps.runs[u];
    const std::int64_t r = at.i * grid.step + run.row, q = at.j * grid.step + run.column;
    const Inside in = r < 0 || r >= x.h ? Inside{0, 0} : inside(run, q, x.w);
    for (std::int64_t tap = 0; tap < run.taps; ++tap) {
      if (tap < in.first || tap >= in.last) {
        for (std::int64_t k = 0; k < x.c; k += L, to += step) store(to, V32{});
        continue;
      }
      const T* from = image + (r * x.w + q + tap) * x.pixel;
      for (std::int64_t k = 0; k < x.c; k += L, to += step) store(to, load(from + k));
    }
  }
}

/// Others are put together in `row` first.
template <class T>
EXCITON_INLINE void gather_values(const SourceMaps<T>& x, const ResultGrid& grid,
                                  const TapRuns& taps, const Cursor& at, float* row, float* to,
                                  std::int64_t step) {
  const T* image = x.data + at.image * x.h * x.w * x.pixel;
  float* end = row;
  for (std::int64_t u = 0; u < taps.count; ++u) {
    const TapRun& run = taps.runs[u];
    const std::int64_t r = at.i * grid.step + run.row, q = at.j * grid.step + run.column;
    const Inside in = r < 0 || r >= x.h ? Inside{0, 0} : inside(run, q, x.w);
    end = clear(in.first * x.c, end);
    const std::int64_t from = (r * x.w + q + in.first) * x.pixel;
    if (x.pixel == x.c)
      end = copy(image + from, (in.last - in.first) * x.c, end);
    else
      for (std::int64_t tap = 0; tap < in.last - in.first; ++tap)
        end = copy(image + from + tap * x.pixel, x.c, end);
    end = clear((run.taps - in.last) * x.c, end);
  }
  const std::int64_t k = end - row, rest = (L - k % L) % L;
  clear(rest, end);
  for (std::int64_t i = 0; i < k; i += L, to += step) store(to, load(row + i));
}

template <class T>
void gather(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
            ResultRange results, float* row, const RowPanels& v) {
  Cursor at(grid, results.first);
  for (std::int64_t t = 0; t < results.count; ++t, at.next(grid))
    if (x.c % L == 0)
      gather_vectors(x, grid, taps, at, v.data + t * L, v.step);
    else
      gather_values(x, grid, taps, at, row, v.data + t * L, v.step);
}

/// R rows of v times N panels of w, k lanes each.
template <int R, int N>
EXCITON_INLINE void multiply_block(const float* v, std::int64_t step, const float* w, float* m,
                                   std::int64_t m_step, std::int64_t k, bool add) {
  V32 sum[R][N] = {};
  const std::int64_t next = k * L;
  for (std::int64_t i = 0; i < k; i += L, v += step)
    for (int l = 0; l < L; ++l, w += L) {
      V32 b[N];
      for (int n = 0; n < N; ++n) b[n] = load(w + n * next);
      for (int r = 0; r < R; ++r) {
        const float a = v[r * L + l];
        for (int n = 0; n < N; ++n) sum[r][n] = multiply_add(b[n], a, sum[r][n]);
      }
    }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) {
      float* to = m + n * m_step + r * L;
      store(to, add ? load(to) + sum[r][n] : sum[r][n]);
    }
}

template <int N>
EXCITON_INLINE void multiply_panels(const RowPanels& v, const float* w, const RowPanels& m,
                                    std::int64_t rows, std::int64_t k, bool add) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 || N == 1 ? 12 : 6;  // sums that fit the registers
  const auto block = [&]<int Rows>(std::int64_t r) {
    multiply_block<Rows, N>(v.data + r * L, v.step, w, m.data + r * L, m.step, k, add);
  };
  std::int64_t r = 0;
  for (; r + R <= rows; r += R) block.template operator()<R>(r);
  for (; r + 4 <= rows; r += 4) block.template operator()<4>(r);
  for (; r < rows; ++r) block.template operator()<1>(r);
}

void multiply(const RowPanels& v, const float* w, const RowPanels& m, std::int64_t rows,
              std::int64_t k, std::int64_t panels, bool add) {
  std::int64_t p = 0;
  const auto at = [&] { return RowPanels{m.data + p * m.step, m.step}; };
  for (; p + 2 <= panels; p += 2) multiply_panels<2>(v, w + p * k * L, at(), rows, k, add);
  if (p < panels) multiply_panels<1>(v, w + p * k * L, at(), rows, k, add);
}

/// R columns of v times N panels of d over all rows.
template <int R, int N>
EXCITON_INLINE void accumulate_block(const float* v, const RowPanels& d, float* sum,
                                     std::int64_t next, std::int64_t rows) {
  V32 s[R][N] = {};
  for (std::int64_t t = 0; t < rows; ++t) {
    V32 b[N];
    for (int n = 0; n < N; ++n) b[n] = load(d.data + n * d.step + t * L);
    for (int r = 0; r < R; ++r) {
      const float a = v[t * L + r];
      for (int n = 0; n < N; ++n) s[r][n] = multiply_add(b[n], a, s[r][n]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < N; ++n) {
      float* to = sum + n * next + r * L;
      store(to, load(to) + s[r][n]);
    }
}

template <int N>
EXCITON_INLINE void accumulate_panels(const RowPanels& v, const RowPanels& d, float* sum,
                                      std::int64_t rows, std::int64_t k) {
  constexpr int R = EXCITON_VECTOR_BYTES == 64 && N == 2 ? 8 : N == 1 ? L : 4;
  static_assert(L % R == 0);
  for (std::int64_t i = 0; i < k; i += R)
    accumulate_block<R, N>(v.data + i / L * v.step + i % L, d, sum + i * L, k * L, rows);
}

void accumulate(const RowPanels& v, const RowPanels& d, float* sum, std::int64_t rows,
                std::int64_t k, std::int64_t panels) {
  std::int64_t p = 0;
  const auto at = [&] { return RowPanels{d.data + p * d.step, d.step}; };
  for (; p + 2 <= panels; p += 2) accumulate_panels<2>(v, at(), sum + p * k * L, rows, k);
  if (p < panels) accumulate_panels<1>(v, at(), sum + p * k * L, rows, k);
}

/// f(source pixel, tap) for the taps of a result that see a pixel.
template <class T, class F>
EXCITON_INLINE void each_tap(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
                             const Cursor& at, F&& f) {
  const T* image = x.data + at.image * x.h * x.w * x.pixel;
  std::int64_t before = 0;
  for (std::int64_t u = 0; u < taps.count; before += taps.runs[u].taps, ++u) {
    const TapRun& run = taps.runs[u];
    const std::int64_t r = at.i * grid.step + run.row, q = at.j * grid.step + run.column;
    if (r < 0 || r >= x.h) continue;
    const Inside in = inside(run, q, x.w);
    const T* from = image + (r * x.w + q + in.first) * x.pixel;
    for (std::int64_t tap = in.first; tap < in.last; ++tap, from += x.pixel) f(from, before + tap);
  }
}

// Channels are cut by threads, so that one may be in a block of four vectors, a vector or a part of
// one: all of them round as multiply_add() does.
template <class T>
void depthwise(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
               ResultRange results, const float* w, std::int64_t line, const RowPanels& m) {
  Cursor at(grid, results.first);
  for (std::int64_t t = 0; t < results.count; ++t, at.next(grid)) {
    float* to = m.data + t * L;
    std::int64_t c = 0;
    for (; c + 4 * L <= x.c; c += 4 * L) {
      V32 sum[4] = {};
      each_tap(x, grid, taps, at, [&](const T* from, std::int64_t tap) {
        for (int u = 0; u < 4; ++u)
          sum[u] = multiply_add(load(from + c + u * L), load(w + tap * line + c + u * L), sum[u]);
      });
      for (int u = 0; u < 4; ++u) store(to + (c / L + u) * m.step, sum[u]);
    }
    for_lanes(x.c - c, [&](auto lanes, std::int64_t k) {
      V32 sum = {};
      each_tap(x, grid, taps, at, [&](const T* from, std::int64_t tap) {
        sum = multiply_add(lanes.get(from + c + k), load(w + tap * line + c + k), sum);
      });
      store(to + (c + k) / L * m.step, sum);
    });
  }
}

template <class T>
void depthwise_accumulate(const SourceMaps<T>& x, const ResultGrid& grid, const TapRuns& taps,
                          ResultRange results, const RowPanels& d, float* sum, std::int64_t line) {
  Cursor at(grid, results.first);
  for (std::int64_t t = 0; t < results.count; ++t, at.next(grid))
    each_tap(x, grid, taps, at, [&](const T* from, std::int64_t tap) {
      for_lanes(x.c, [&](auto lanes, std::int64_t k) {
        float* to = sum + tap * line + k;
        store(to,
              multiply_add(lanes.get(from + k), load(d.data + k / L * d.step + t * L), load(to)));
      });
    });
}

template <class T>
void finish(const RowPanels& m, const ResultGrid& grid, ResultRange results,
            const DirectEpilogue<T>& e, const TargetMaps<T>& y) {
  Cursor at(grid, results.first);
  for (std::int64_t t = 0; t < results.count; ++t, at.next(grid)) {
    const std::int64_t row = at.i * y.step + y.row, column = at.j * y.step + y.column;
    const std::int64_t to = ((at.image * y.h + row) * y.w + column) * y.pixel;
    for_lanes(y.c, [&](auto lanes, std::int64_t k) {
      V32 v = load(m.data + k / L * m.step + t * L);
      if (e.bias) v += lanes.get(e.bias + k);
      const V32 shortcut = e.shortcut ? lanes.get(e.shortcut + to + k) : V32{};
      if (e.gates)
        v = multiply_add(v, lanes.get(e.gates + at.image * y.pixel + k), shortcut);
      else
        v += shortcut;
      if (e.relu) v = v < V32{} ? V32{} : v;  // NaN stays NaN
      lanes.put(y.data + to + k, v);
    });
  }
}

template <class T>
constexpr DirectKernels<T> table{
    L, gather<T>, multiply, accumulate, depthwise<T>, depthwise_accumulate<T>, finish<T>};

}  // namespace

template <class T>
const DirectKernels<T>& direct_kernels() {
  return table<T>;
}
template const DirectKernels<float>& direct_kernels<float>();
template const DirectKernels<bf16>& direct_kernels<bf16>();

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
