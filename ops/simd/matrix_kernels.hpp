/// Pieces of matrix products on the calling thread; ops/matrix_product.cpp puts them together.
/// Built once an instruction set, chosen at run time.
#pragma once
#include <cstdint>

namespace exciton::ops::simd {

/// Where the elements of a matrix [rows, columns] are: (i, j) at data[i row + j column].
struct MatrixView {
  const float* data;
  std::int64_t row, column;
};

struct MatrixKernels {
  /// A tile of the result is so many rows of c times so many columns.
  std::int64_t rows, columns;

  /// packed[k, width] = x[k, count], count <= width, and zeros beyond count.
  void (*pack)(const MatrixView& x, std::int64_t k, std::int64_t count, std::int64_t width,
               float* packed);
  /// c[i, j] = (or, if `add`, +=) sum over l of a[l, i] b[l, j], one product after another in the
  /// order of l, for a packed [k, rows], b packed [k, columns], i < m <= rows and j < n <= columns.
  /// Element (i, j) of c is at c[i row + j column].
  void (*multiply)(const float* a, const float* b, std::int64_t k, std::int64_t m, std::int64_t n,
                   bool add, float* c, std::int64_t row, std::int64_t column);
};

/// The kernels of the best instruction set this processor has.
const MatrixKernels& matrix_kernels();

}  // namespace exciton::ops::simd
