#include "ops/linear.hpp"

#include <cblas.h>

#include "core/threads.hpp"

namespace exciton::ops {
namespace {

void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ldc);
}
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
          const double* b, int ldb, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ldc);
}

/// c [m, n] = op(a) op(b), cut over rows of c. `a` is [m, k], or [k, m] when transposed; `b` is
/// [k, n], or [n, k] when transposed.
template <class A>
void multiply(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const A* a,
              const A* b, A* c) {
  static const bool one_thread = (openblas_set_num_threads(1), true);  // the pieces are ours to cut
  static_cast<void>(one_thread);
  const std::int64_t rows_worth_a_thread = std::max<std::int64_t>(1, (1 << 18) / (n * k));
  parallel_for(m, rows_worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
    const A* a_rows = ta ? a + begin : a + begin * k;
    gemm(ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
         static_cast<int>(end - begin), static_cast<int>(n), static_cast<int>(k), a_rows,
         static_cast<int>(ta ? m : k), b, static_cast<int>(tb ? k : n), c + begin * n,
         static_cast<int>(n));
  });
}

}  // namespace

Tensor Linear::forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& b) const {
  check(x.rank() == 2, name, ": x must be [N, I], got ", x.shape());
  check(w.rank() == 2, name, ": weight must be [O, I], got ", w.shape());
  check(x.dim(1) == w.dim(1), name, ": x ", x.shape(), " has ", x.dim(1), " features, weight ",
        w.shape(), " wants ", w.dim(1));
  const std::int64_t n = x.dim(0), in = x.dim(1), out = w.dim(0);
  check(b.empty() || b.shape() == Shape{out}, name, ": bias is ", b.shape(), ", wants [", out, "]");
  check(w.dtype() == acc_type(x.dtype()), name, ": weight of type ", w.dtype(), " beside ",
        x.dtype(), " x, wants ", acc_type(x.dtype()));
  saved = {x.to(w.dtype()), w, x.dtype()};
  return dispatch_float(w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor y({n, out}, w.dtype());
    A* yp = y.data<A>();
    multiply(false, true, n, out, in, saved.x.data<A>(), w.data<A>(), yp);
    if (!b.empty())
      for (std::int64_t i = 0; i < n * out; ++i) yp[i] += b.data<A>()[i % out];
    return y;
  });
}

Grads<3> Linear::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  const Tensor &x = saved.x, &w = saved.w;
  const std::int64_t n = x.dim(0), in = x.dim(1), out = w.dim(0);
  return dispatch_float(w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Grads<3> grads;
    const A* dp = dy.data<A>();
    if (needs[0]) {
      Tensor dx({n, in}, w.dtype());
      multiply(false, false, n, in, out, dp, w.data<A>(), dx.data<A>());
      grads[0] = dx.to(saved.x_type);
    }
    if (needs[1]) {
      grads[1] = Tensor({out, in}, w.dtype());
      multiply(true, false, out, in, n, dp, x.data<A>(), grads[1].data<A>());
    }
    if (needs[2]) {
      grads[2] = Tensor::zeros({out}, w.dtype());
      for (std::int64_t i = 0; i < n * out; ++i) grads[2].data<A>()[i % out] += dp[i];
    }
    return grads;
  });
}

std::int64_t Linear::multiply_adds(const Tensor&, const Tensor& x, const Tensor& w,
                                   const Tensor&) const {
  return x.dim(0) * w.numel();
}

std::vector<Example<Linear>> Linear::examples() {
  return {
      {{}, {{3, 5}, {4, 5}, {4}}}, {{}, {{1, 1}, {1, 1}, absent}}, {{}, {{7, 33}, {3, 33}, {3}}}};
}

}  // namespace exciton::ops
