#include "ops/linear.hpp"

#include <cblas.h>

#include "core/threads.hpp"

namespace exciton::ops {
namespace {

/// A row-major matrix as it lies in memory, to be read transposed or not.
template <class A>
struct Matrix {
  const A* data;
  std::int64_t columns;
  bool transposed = false;

  const A* at_row(std::int64_t i) const { return data + (transposed ? i : i * columns); }
  const A* at_column(std::int64_t j) const { return data + (transposed ? j * columns : j); }
  A operator()(std::int64_t i, std::int64_t j) const {
    return transposed ? data[j * columns + i] : data[i * columns + j];
  }
};

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

/// The plain twin: the formula, one loop an index.
template <class A>
void multiply_plain(const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t ldc, std::int64_t m,
                    std::int64_t n, std::int64_t k) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      A sum = 0;
      for (std::int64_t l = 0; l < k; ++l) sum += a(i, l) * b(l, j);
      c[i * ldc + j] = sum;
    }
}

/// c [m, n] = a [m, k] b [k, n]. Every thread makes one contiguous piece of the longer side of c;
/// no sum is cut, so the result does not depend on timing.
template <class A>
void multiply(bool plain, const Matrix<A>& a, const Matrix<A>& b, A* c, std::int64_t m,
              std::int64_t n, std::int64_t k) {
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
                   rows.data = a.at_row(begin);
                   block(rows, columns, c + begin * n, end - begin, n);
                 } else {
                   columns.data = b.at_column(begin);
                   block(rows, columns, c + begin, m, end - begin);
                 }
               });
}

}  // namespace

Tensor Linear::forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& b) const {
  check(x.rank() == 2, name, ": x must be [N, I], got ", x.shape());
  check(w.rank() == 2 && w.dim(1) == x.dim(1), name, ": x ", x.shape(), " wants a weight [O, ",
        x.dim(1), "], got ", w.shape());
  const std::int64_t n = x.dim(0), in = x.dim(1), out = w.dim(0);
  check(b.empty() || b.shape() == Shape{out}, name, ": bias is ", b.shape(), ", wants [", out, "]");
  check(is_floating(x.dtype()) && w.dtype() == acc_type(x.dtype()), name, ": weight of type ",
        w.dtype(), " beside x of type ", x.dtype(), ", wants ", acc_type(x.dtype()));
  saved = {x.to(w.dtype()), w, x.dtype()};
  return dispatch_float(w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor y({n, out}, dtype_of<A>);
    A* yp = y.data<A>();
    multiply<A>(plain, {saved.x.data<A>(), in}, {w.data<A>(), in, true}, yp, n, out, in);
    if (!b.empty()) {
      const A* bp = b.data<A>();
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < out; ++o) yp[i * out + o] += bp[o];
    }
    return y;
  });
}

Grads<3> Linear::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  const std::int64_t n = saved.x.dim(0), in = saved.x.dim(1), out = saved.w.dim(0);
  return dispatch_float(saved.w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    const A *xp = saved.x.data<A>(), *wp = saved.w.data<A>(), *dp = dy.data<A>();
    Grads<3> grads;
    if (needs[0]) {
      Tensor dx({n, in}, dtype_of<A>);
      multiply<A>(plain, {dp, out}, {wp, in}, dx.data<A>(), n, in, out);
      grads[0] = dx.to(saved.dtype);
    }
    if (needs[1]) {
      grads[1] = Tensor({out, in}, dtype_of<A>);
      multiply<A>(plain, {dp, out, true}, {xp, in}, grads[1].data<A>(), out, in, n);
    }
    if (needs[2]) {
      grads[2] = Tensor({out}, dtype_of<A>);
      std::vector<double> sum(static_cast<std::size_t>(out), 0.0);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < out; ++o) sum[static_cast<std::size_t>(o)] += dp[i * out + o];
      for (std::int64_t o = 0; o < out; ++o)
        grads[2].data<A>()[o] = static_cast<A>(sum[static_cast<std::size_t>(o)]);
    }
    return grads;
  });
}

std::int64_t Linear::multiply_adds(const Tensor& y, const Tensor& x, const Tensor&,
                                   const Tensor&) const {
  return y.numel() * x.dim(1);
}

std::vector<Example<Linear>> Linear::examples() {
  return {{{}, {{3, 5}, {4, 5}, {4}}},      {{}, {{2, 7}, {3, 7}, absent}},
          {{}, {{1, 1}, {1, 1}, {1}}},      {{}, {{1, 33}, {65, 33}, {65}}},
          {{}, {{67, 31}, {10, 31}, {10}}}, {{}, {{130, 65}, {35, 65}, absent}}};
}

}  // namespace exciton::ops
