/// What pointwise_kernels.cpp and pointwise_pair_kernels.cpp share; see vector.hpp for who may
/// include it.
#pragma once
#include <utility>

#include "exciton/ops/simd/pointwise_kernels.hpp"
#include "exciton/ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

constexpr int L = Vec<float>::lanes;
/// A block of sums in registers: so many pixels times vectors of outputs. Few pixels, for where C
/// is a power of two all of them fall into the same sets of the cache.
constexpr int most_pixels = 6, most_vectors = EXCITON_VECTOR_BYTES == 64 ? 4 : 2;

/// One channel after another, in f32.
struct Channels {
  using Map = float;
  static constexpr int together = 1;
  static EXCITON_INLINE V32 multiply_add(V32 w, const float* x, V32 sum) {
    return EXCITON_TARGET::multiply_add(w, *x, sum);
  }
  static EXCITON_INLINE void put(float* y, V32 v) { store(y, v); }
  static float slot(const float* w) { return *w; }
};

#ifdef __AVX512BF16__
/// Two channels of bf16 at once. Numbers too small for a normal one count, and are written, as
/// zero.
struct ChannelPairs {
  using Map = bf16;
  static constexpr int together = 2;
  static EXCITON_INLINE V32 multiply_add(V32 w, const bf16* x, V32 sum) {
    float pair;
    std::memcpy(&pair, x, sizeof pair);
    return V32(_mm512_dpbf16_ps(sum, as_pairs(w), as_pairs(V32(_mm512_set1_ps(pair)))));
  }
  static EXCITON_INLINE void put(bf16* y, V32 v) {
    const __m256bh half = _mm512_cvtneps_pbh(v);
    std::memcpy(&y->bits, &half, sizeof half);
  }
  static EXCITON_INLINE __m512bh as_pairs(V32 v) {
    __m512bh pairs;
    std::memcpy(&pairs, &v, sizeof v);
    return pairs;
  }
  /// Of weights that are bf16 in value.
  static float slot(const float* w) {
    std::uint32_t low, high;
    std::memcpy(&low, w, sizeof low);
    std::memcpy(&high, w + 1, sizeof high);
    const std::uint32_t both = low >> 16 | (high & 0xffff0000u);
    float out;
    std::memcpy(&out, &both, sizeof out);
    return out;
  }
};
#endif

/// R pixels of x times a panel of N vectors of outputs.
template <class Multiply, int R, int N>
void block(const typename Multiply::Map* x, std::int64_t step, const float* w, const float* ahead,
           std::int64_t o, std::int64_t c, const PointwiseEpilogue<typename Multiply::Map>& e,
           typename Multiply::Map* y) {
  V32 sum[R][N] = {};
  for (std::int64_t k = 0; k < c; k += Multiply::together, w += N * L) {
    V32 b[N];
    for (int n = 0; n < N; ++n) b[n] = load(w + n * L);
    if (ahead) {
      for (int n = 0; n < N; ++n) __builtin_prefetch(ahead + n * L, 0, 2);
      ahead += N * L;
    }
    for (int r = 0; r < R; ++r)
      for (int n = 0; n < N; ++n)
        sum[r][n] = Multiply::multiply_add(b[n], x + r * step + k, sum[r][n]);
  }
  const auto finish = [&](int r, int n) __attribute__((always_inline)) {
    V32 out = sum[r][n];
    if (e.bias) out += load(e.bias + n * L);
    if (e.gates) out *= load(e.gates + n * L);
    if (e.shortcut) out += load(e.shortcut + r * o + n * L);
    if (e.relu) out = relu(out);
    Multiply::put(y + r * o + n * L, out);
  };
  // A loop would have the compiler keep the sums in memory.
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (finish(I / N, I % N), ...);
  }
  (std::make_integer_sequence<int, R * N>());
}

/// block<Multiply, R, N> at [N - 1][R - 1].
template <class Multiply>
struct Blocks {
  using Map = typename Multiply::Map;
  using Block = void (*)(const Map*, std::int64_t, const float*, const float*, std::int64_t,
                         std::int64_t, const PointwiseEpilogue<Map>&, Map*);
  struct Row {
    Block of[most_pixels];
  };
  struct Table {
    Row of[most_vectors];
  };
  template <int N, int... R>
  static constexpr Row row(std::integer_sequence<int, R...>) {
    return {{block<Multiply, R + 1, N>...}};
  }
  template <int... N>
  static constexpr Table table(std::integer_sequence<int, N...>) {
    return {{row<N + 1>(std::make_integer_sequence<int, most_pixels>())...}};
  }
  static constexpr Table all = table(std::make_integer_sequence<int, most_vectors>());
};

/// Vectors of the panel that begins with output `first`.
inline std::int64_t vectors(std::int64_t o, std::int64_t first) {
  return o - first < most_vectors * L ? (o - first) / L : most_vectors;
}

template <class Multiply>
void multiply(const PixelLine<typename Multiply::Map>& line, const float* packed,
              const float* ahead, std::int64_t o, std::int64_t c, std::int64_t first,
              const PointwiseEpilogue<typename Multiply::Map>& epilogue,
              typename Multiply::Map* y) {
  auto e = epilogue;
  const auto& of = Blocks<Multiply>::all.of[vectors(o, first) - 1].of;
  // Blocks of all but equal size: a small one would wait for its own sums.
  const std::int64_t blocks = (line.pixels + most_pixels - 1) / most_pixels;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = line.pixels * b / blocks, end = line.pixels * (b + 1) / blocks;
    e.shortcut = epilogue.shortcut ? epilogue.shortcut + begin * o : nullptr;
    of[end - begin - 1](line.x + begin * line.step, line.step, packed,
                        b + 1 == blocks ? ahead : nullptr, o, c, e, y + begin * o);
  }
}

template <class Multiply>
std::int64_t floats(std::int64_t o, std::int64_t c) {
  return o * c / Multiply::together;
}

template <class Multiply>
void pack(const float* weights, std::int64_t o, std::int64_t c, std::int64_t first, float* packed) {
  const std::int64_t width = vectors(o, first) * L;
  for (std::int64_t k = 0; k < c; k += Multiply::together)
    for (std::int64_t i = 0; i < width; ++i)
      *packed++ = Multiply::slot(weights + (first + i) * c + k);
}

template <class Multiply>
constexpr PointwiseKernels<typename Multiply::Map> kernels_of() {
  return {.panel = most_vectors * L,
          .pixels = most_pixels,
          .floats = floats<Multiply>,
          .pack = pack<Multiply>,
          .multiply = multiply<Multiply>};
}

}  // namespace
}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
