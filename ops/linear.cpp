#include "exciton/ops/linear.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/matrix_product.hpp"

namespace exciton::ops {

Tensor Linear::forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& b) const {
  check_input(name, "x", x);
  check_input(name, "weight", w);
  check(x.rank() == 2, name, ": x must be [N, I], got ", x.shape());
  check(w.rank() == 2 && w.dim(1) == x.dim(1), name, ": x ", x.shape(), " expects a weight [O, ",
        x.dim(1), "], got ", w.shape());
  const std::int64_t n = x.dim(0), in = x.dim(1), out = w.dim(0);
  check(w.dtype() == acc_type(x.dtype()), name, ": weight of type ", w.dtype(),
        " beside x of type ", x.dtype(), ", expected ", acc_type(x.dtype()));
  check_optional(name, "bias", b, {{out}, w.dtype()});
  saved = {x.to(w.dtype()), w, x.dtype()};
  return dispatch_float(w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor y({n, out}, dtype_of<A>);
    A* yp = y.data<A>();
    multiply<A>({saved.x.data<A>(), in}, {w.data<A>(), in, true}, yp, n, out, in, plain);
    if (!b.empty()) {
      const A* bp = b.data<A>();
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < out; ++o) yp[i * out + o] += bp[o];
    }
    return y;
  });
}

Grads<3> Linear::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  check_input(name, "the saved state", saved.x);
  const std::int64_t n = saved.x.dim(0), in = saved.x.dim(1), out = saved.w.dim(0);
  check_gradient(name, dy, {{n, out}, saved.w.dtype()});
  return dispatch_float(saved.w.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    const A *xp = saved.x.data<A>(), *wp = saved.w.data<A>(), *dp = dy.data<A>();
    Grads<3> grads;
    if (needs[0]) {
      Tensor dx({n, in}, dtype_of<A>);
      multiply<A>({dp, out}, {wp, in}, dx.data<A>(), n, in, out, plain);
      grads[0] = dx.to(saved.dtype);
    }
    if (needs[1]) {
      grads[1] = Tensor({out, in}, dtype_of<A>);
      multiply_over_images<A>({dp, out}, {xp, in}, grads[1].data<A>(), out, in, n, plain);
    }
    if (needs[2]) {
      grads[2] = gradient_over_images<A>(n, out, [&](std::int64_t i, double* to) {
        for (std::int64_t o = 0; o < out; ++o) to[o] += dp[i * out + o];
      });
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
