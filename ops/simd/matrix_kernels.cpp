// Compiled once an instruction set; see vector.hpp.
#include "exciton/ops/simd/matrix_kernels.hpp"

#include "exciton/ops/simd/vector.hpp"

namespace exciton::ops::simd {
namespace EXCITON_TARGET {
namespace {

using V = Vec<float>::V;
constexpr int lanes = Vec<float>::lanes;
// Two vectors of columns times so many rows are sums in registers, of which there are 16, or 32
// with AVX-512.
constexpr int vectors = 2, most_rows = lanes == 16 ? 12 : 6, width = vectors * lanes;

void pack(const MatrixView& x, std::int64_t k, std::int64_t count, std::int64_t columns,
          float* packed) {
  if (x.column == 1) {
    for (std::int64_t l = 0; l < k; ++l, packed += columns) {
      const float* from = x.data + l * x.row;
      for (std::int64_t j = 0; j < count; ++j) packed[j] = from[j];
      for (std::int64_t j = count; j < columns; ++j) packed[j] = 0;
    }
    return;
  }
  // Transposed: rows of the packed matrix a few at a time, so that what is read and what is written
  // both stay in the nearest cache.
  constexpr std::int64_t block = 16;
  for (std::int64_t l0 = 0; l0 < k; l0 += block) {
    const std::int64_t end = l0 + block < k ? l0 + block : k;
    for (std::int64_t j = 0; j < count; ++j) {
      const float* from = x.data + j * x.column;
      for (std::int64_t l = l0; l < end; ++l) packed[l * columns + j] = from[l * x.row];
    }
    for (std::int64_t l = l0; l < end; ++l)
      for (std::int64_t j = count; j < columns; ++j) packed[l * columns + j] = 0;
  }
}

/// A tile of exactly `m` rows.
template <int m>
void tile(const float* a, const float* b, std::int64_t k, std::int64_t n, bool add, float* c,
          std::int64_t row, std::int64_t column) {
  V sum[m][vectors] = {};
  for (std::int64_t l = 0; l < k; ++l, a += most_rows, b += width) {
    const V b0 = load(b), b1 = load(b + lanes);
    for (int i = 0; i < m; ++i) {
      sum[i][0] = multiply_add(b0, a[i], sum[i][0]);
      sum[i][1] = multiply_add(b1, a[i], sum[i][1]);
    }
  }
  if (n == width && column == 1) {
    for (int i = 0; i < m; ++i)
      for (int v = 0; v < vectors; ++v) {
        float* to = c + i * row + v * lanes;
        store(to, add ? load(to) + sum[i][v] : sum[i][v]);
      }
    return;
  }
  for (int i = 0; i < m; ++i) {
    float values[width];
    for (int v = 0; v < vectors; ++v) store(values + v * lanes, sum[i][v]);
    for (std::int64_t j = 0; j < n; ++j) {
      float& to = c[i * row + j * column];
      to = add ? to + values[j] : values[j];
    }
  }
}

using Tile = void (*)(const float*, const float*, std::int64_t, std::int64_t, bool, float*,
                      std::int64_t, std::int64_t);
#if defined(__AVX512F__)
constexpr Tile tiles[] = {tile<1>, tile<2>, tile<3>, tile<4>,  tile<5>,  tile<6>,
                          tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};
#else
constexpr Tile tiles[] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};
#endif
static_assert(sizeof tiles / sizeof tiles[0] == most_rows);

void multiply(const float* a, const float* b, std::int64_t k, std::int64_t m, std::int64_t n,
              bool add, float* c, std::int64_t row, std::int64_t column) {
  tiles[m - 1](a, b, k, n, add, c, row, column);
}

constexpr MatrixKernels kernels{most_rows, width, pack, multiply};

}  // namespace

const MatrixKernels& matrix_kernels() { return kernels; }

}  // namespace EXCITON_TARGET
}  // namespace exciton::ops::simd
