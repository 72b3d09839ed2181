#include "ops/matrix_product.hpp"

#include <cblas.h>

#include <algorithm>
#include <type_traits>

#include "core/threads.hpp"
#include "ops/simd/channel_kernels.hpp"

namespace exciton::ops {
namespace {

template <class A>
const A* at(const Matrix<A>& x, std::int64_t i, std::int64_t j) {
  return x.data + (x.transposed ? j * x.columns + i : i * x.columns + j);
}

/// OpenBLAS must not bring threads of its own into our loops. Built on OpenMP it sees that it is
/// called from inside a team (and setting its count would set ours); built on pthreads it is told.
void keep_openblas_on_one_thread() {
  static const bool told = [] {
    if (openblas_get_parallel() == OPENBLAS_THREAD) openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(told);
}

void multiply_blas(const Matrix<float>& a, const Matrix<float>& b, float* c, std::int64_t ldc,
                   std::int64_t m, std::int64_t n, std::int64_t k) {
  const auto small = [](std::int64_t v) { return static_cast<blasint>(v); };
  const auto order = [](const Matrix<float>& x) {
    return x.transposed ? CblasTrans : CblasNoTrans;
  };
  cblas_sgemm(CblasRowMajor, order(a), order(b), small(m), small(n), small(k), 1, a.data,
              small(a.columns), b.data, small(b.columns), 0, c, small(ldc));
}

/// c = b a for a column a of k numbers and b [n, k]: the layer of one image. OpenBLAS would pack
/// all of b for one row of products.
void multiply_vector(const Matrix<float>& a, const Matrix<float>& b, float* c, std::int64_t n,
                     std::int64_t k) {
  parallel_for(n, std::max<std::int64_t>(1, (1 << 14) / k),
               [&](std::int64_t begin, std::int64_t end) {
                 std::fill(c + begin, c + end, 0.0F);
                 simd::channel_kernels<float>().matrix_vector(b.data + begin * k, a.data, c + begin,
                                                              end - begin, k);
               });
}

/// The plain twin: the formula, one loop an index.
template <class A>
void multiply_plain(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t ldc, std::int64_t m,
                    std::int64_t n, std::int64_t k) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      A sum = 0;
      for (std::int64_t l = 0; l < k; ++l) sum += *at(a, i, l) * *at(b, l, j);
      c[i * ldc + j] = sum;
    }
}

}  // namespace

template <class A>
void multiply(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m, std::int64_t n,
              std::int64_t k, bool plain) {
  if constexpr (std::is_same_v<A, float>)
    if (!plain && m == 1 && !a.transposed && b.transposed && b.columns == k)
      return multiply_vector(a, b, c, n, k);
  const auto block = [&](const Matrix<A>& rows, const Matrix<A>& columns, A* out, std::int64_t r,
                         std::int64_t s) {
    if constexpr (std::is_same_v<A, float>)
      if (!plain) return multiply_blas(rows, columns, out, n, r, s, k);
    multiply_plain(rows, columns, out, n, r, s, k);
  };
  keep_openblas_on_one_thread();
  const bool by_rows = m >= n;
  const std::int64_t work_each = std::max<std::int64_t>(1, (by_rows ? n : m) * k);
  parallel_for(by_rows ? m : n, std::max<std::int64_t>(1, (1 << 16) / work_each),
               [&](std::int64_t begin, std::int64_t end) {
                 Matrix<A> rows = a, columns = b;
                 if (by_rows) {
                   rows.data = at(a, begin, 0);
                   block(rows, columns, c + begin * n, end - begin, n);
                 } else {
                   columns.data = at(b, 0, begin);
                   block(rows, columns, c + begin, m, end - begin);
                 }
               });
}
template void multiply(const Matrix<float>&, const Matrix<float>&, float*, std::int64_t,
                       std::int64_t, std::int64_t, bool);
template void multiply(const Matrix<double>&, const Matrix<double>&, double*, std::int64_t,
                       std::int64_t, std::int64_t, bool);

}  // namespace exciton::ops
