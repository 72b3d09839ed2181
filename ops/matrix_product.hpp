/// Products of small matrices on all threads.
#pragma once
#include <cstdint>

namespace exciton::ops {

/// A row-major matrix as it lies in memory, to be read transposed or not.
template <class A>
struct Matrix {
  const A* data;
  std::int64_t columns;  ///< as it lies
  bool transposed = false;
};

/// c [m, n] = a [m, k] b [k, n], for A float or double. Contiguous pieces of the longer side of c,
/// the same for any number of threads, are made in f32 by the vector kernels
/// (ops/simd/matrix_kernels.hpp), or by OpenBLAS where the build option EXCITON_OPENBLAS says so.
/// One row times a transposed matrix (the layer of one image) reads that matrix once. `plain` takes
/// the formula's three loops for f32 too, as f64 always does.
template <class A>
void multiply(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m, std::int64_t n,
              std::int64_t k, bool plain = false);

/// c [m, n] = a' b for a [images, m] and b [images, n], both as they lie: a sum over images, leaf
/// by leaf (ops/leaves.hpp).
template <class A>
void multiply_over_images(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m,
                          std::int64_t n, std::int64_t images, bool plain = false);

}  // namespace exciton::ops
