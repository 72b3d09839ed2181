#include "exciton/ops/matrix_product.hpp"

#include <algorithm>
#include <type_traits>

#include "exciton/core/tensor.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"
#include "exciton/ops/simd/matrix_kernels.hpp"

#ifdef EXCITON_OPENBLAS
#include <cblas.h>
#endif

namespace exciton::ops {
namespace {

template <class A>
const A* at(const Matrix<A>& x, std::int64_t i, std::int64_t j) {
  return x.data + (x.transposed ? j * x.columns + i : i * x.columns + j);
}

#ifdef EXCITON_OPENBLAS

/// OpenBLAS must not bring threads of its own into our loops. Built on OpenMP it sees that it is
/// called from inside a team (and setting its count would set ours); built on pthreads it is told.
void keep_openblas_on_one_thread() {
  static const bool told = [] {
    if (openblas_get_parallel() == OPENBLAS_THREAD) openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(told);
}

void multiply_block(const Matrix<float>& a, const Matrix<float>& b, float* c, std::int64_t ldc,
                    std::int64_t m, std::int64_t n, std::int64_t k) {
  const auto small = [](std::int64_t v) { return static_cast<blasint>(v); };
  const auto order = [](const Matrix<float>& x) {
    return x.transposed ? CblasTrans : CblasNoTrans;
  };
  keep_openblas_on_one_thread();
  cblas_sgemm(CblasRowMajor, order(a), order(b), small(m), small(n), small(k), 1, a.data,
              small(a.columns), b.data, small(b.columns), 0, c, small(ldc));
}

#else

simd::MatrixView view(const Matrix<float>& x) {
  return x.transposed ? simd::MatrixView{x.data, 1, x.columns}
                      : simd::MatrixView{x.data, x.columns, 1};
}

/// c[i row + j column] = sum over l of a(l, i) b(l, j), a [k, m] and b [k, n] as they are seen.
/// The rows of a tile are packed once for all columns, `depth` products at a time, so that a tile's
/// columns stay in the first-level cache and the packed rows in the second.
void multiply_tiles(const simd::MatrixView& a, const simd::MatrixView& b, float* c,
                    std::int64_t row, std::int64_t column, std::int64_t m, std::int64_t n,
                    std::int64_t k) {
  constexpr std::int64_t most_depth = 192, most_rows = 480;
  const simd::MatrixKernels& kernels = simd::matrix_kernels();
  const std::int64_t depth = std::min(k, most_depth);
  const auto tiles = [&](std::int64_t rows) { return (rows + kernels.rows - 1) / kernels.rows; };
  const std::int64_t panel = depth * kernels.rows;
  Tensor memory({tiles(std::min(m, most_rows)) * panel + depth * kernels.columns});
  float* const rows = memory.data<float>();
  float* const columns = rows + tiles(std::min(m, most_rows)) * panel;
  const auto at = [](const simd::MatrixView& x, std::int64_t l, std::int64_t i) {
    return simd::MatrixView{x.data + l * x.row + i * x.column, x.row, x.column};
  };
  for (std::int64_t i0 = 0; i0 < m; i0 += most_rows) {
    const std::int64_t i1 = std::min(m, i0 + most_rows);
    for (std::int64_t l = 0; l < k; l += depth) {
      const std::int64_t count = std::min(depth, k - l);
      for (std::int64_t i = i0; i < i1; i += kernels.rows)
        kernels.pack(at(a, l, i), count, std::min(kernels.rows, i1 - i), kernels.rows,
                     rows + (i - i0) / kernels.rows * panel);
      for (std::int64_t j = 0; j < n; j += kernels.columns) {
        const std::int64_t width = std::min(kernels.columns, n - j);
        kernels.pack(at(b, l, j), count, width, kernels.columns, columns);
        for (std::int64_t i = i0; i < i1; i += kernels.rows)
          kernels.multiply(rows + (i - i0) / kernels.rows * panel, columns, count,
                           std::min(kernels.rows, i1 - i), width, l > 0, c + i * row + j * column,
                           row, column);
      }
    }
  }
}

void multiply_block(const Matrix<float>& a, const Matrix<float>& b, float* c, std::int64_t ldc,
                    std::int64_t m, std::int64_t n, std::int64_t k) {
  const simd::MatrixView rows = view({a.data, a.columns, !a.transposed}), columns = view(b);
  // Vectors lie along the longer side where the other does not fill them.
  if (m > n && n < simd::matrix_kernels().columns)
    multiply_tiles(columns, rows, c, 1, ldc, n, m, k);
  else
    multiply_tiles(rows, columns, c, ldc, 1, m, n, k);
}

#endif

/// c = b a for a column a of k numbers and b [n, k]: the layer of one image. Packing all of b for
/// one row of products would cost more than they do.
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
      if (!plain) return multiply_block(rows, columns, out, n, r, s, k);
    multiply_plain(rows, columns, out, n, r, s, k);
  };
  const bool by_rows = m >= n;
  const std::int64_t side = by_rows ? m : n, work = m * n * k;
  // Each packs the other side for itself.
  constexpr std::int64_t narrowest = 64, worth = 1 << 16;
  const std::int64_t most = std::min(side / narrowest, work / worth);
  const int pieces = static_cast<int>(std::clamp<std::int64_t>(most, 1, Leaves::most));
  parallel(pieces, [&](int t, int of) {
    const Chunk piece = chunk_of(side, t, of);
    Matrix<A> rows = a, columns = b;
    if (by_rows) {
      rows.data = at(a, piece.begin, 0);
      block(rows, columns, c + piece.begin * n, piece.end - piece.begin, n);
    } else {
      columns.data = at(b, 0, piece.begin);
      block(rows, columns, c + piece.begin, m, piece.end - piece.begin);
    }
  });
}

template <class A>
void multiply_over_images(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m,
                          std::int64_t n, std::int64_t images, bool plain) {
  const Leaves leaves = Leaves::of_gradient(images, m * n, images * (m + n));
  if (leaves.count == 1) return multiply<A>({a.data, a.columns, true}, b, c, m, n, images, plain);
  Tensor partial({leaves.count, m * n}, dtype_of<A>);
  A* const sums = partial.template data<A>();
  parallel_for(leaves.count, std::max<std::int64_t>(1, (1 << 16) * leaves.count / (m * n * images)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t l = begin; l < end; ++l)
                   multiply<A>({a.data + leaves[l].begin * a.columns, a.columns, true},
                               {b.data + leaves[l].begin * b.columns, b.columns}, sums + l * m * n,
                               m, n, leaves[l].end - leaves[l].begin, plain);
               });
  fold_leaves(sums, leaves.count, m * n);
  std::copy_n(sums, m * n, c);
}
template void multiply(const Matrix<float>&, const Matrix<float>&, float*, std::int64_t,
                       std::int64_t, std::int64_t, bool);
template void multiply(const Matrix<double>&, const Matrix<double>&, double*, std::int64_t,
                       std::int64_t, std::int64_t, bool);
template void multiply_over_images(const Matrix<float>&, const Matrix<float>&, float*, std::int64_t,
                                   std::int64_t, std::int64_t, bool);
template void multiply_over_images(const Matrix<double>&, const Matrix<double>&, double*,
                                   std::int64_t, std::int64_t, std::int64_t, bool);

}  // namespace exciton::ops
