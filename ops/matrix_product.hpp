/// Products of small matrices on all threads, by OpenBLAS in f32.
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
/// the longer side of c; no sum is cut, so the result does not depend on timing. One row times a
/// transposed matrix (the layer of one image) reads that matrix once, on the vector kernels.
/// `plain` takes the formula's three loops for f32 too, as f64 always does.
template <class A>
void multiply(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m, std::int64_t n,
              std::int64_t k, bool plain = false);

}  // namespace exciton::ops
