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

/// c [m, n] = a [m, k] b [k, n], for A float or double. Every thread makes one contiguous piece of
/// the longer side of c, in f32 by the vector kernels (ops/simd/matrix_kernels.hpp), or by OpenBLAS
/// where the build option EXCITON_OPENBLAS says so. Our kernels add the products of an element in
/// the order of k, whatever the cut, so bits do not depend on threads. One row times a transposed
/// matrix (the layer of one image) reads that matrix once. `plain` takes the formula's three loops
/// for f32 too, as f64 always does.
template <class A>
void multiply(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m, std::int64_t n,
              std::int64_t k, bool plain = false);

}  // namespace exciton::ops
