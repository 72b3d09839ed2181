#include "exciton/ops/se/excite.hpp"

#include "exciton/core/example.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/matrix_product.hpp"

namespace exciton::ops {
namespace {

/// use(f), f being the functions of that gate.
template <class F>
auto with_gate(GateKind kind, F&& use) {
  switch (kind) {
    case GateKind::sigmoid:
      return use(functions::Sigmoid());
    case GateKind::tanh:
      return use(functions::Tanh());
    case GateKind::relu:
      return use(functions::Relu());
    case GateKind::hard_sigmoid:
      return use(functions::HardSigmoid());
  }
  fail("excite: no such gate");
}

/// f(i, e[i]) for all elements of e, cut over threads.
template <class A, class F>
void each(Tensor& e, const F& f) {
  A* p = e.data<A>();
  parallel_for(e.numel(), 1 << 10, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(i, p[i]);
  });
}

/// f(x w^T + b) for x [N, K], w [R, K].
template <class A, class F>
Tensor layer(const Tensor& x, const Tensor& w, const Tensor& b, const F& f) {
  const std::int64_t n = x.dim(0), in = x.dim(1), rows = w.dim(0);
  Tensor e({n, rows}, dtype_of<A>);
  multiply<A>({x.data<A>(), in}, {w.data<A>(), in, true}, e.data<A>(), n, rows, in);
  const A* bias = b.empty() ? nullptr : b.data<A>();
  each<A>(e, [&](std::int64_t i, A& v) { v = f(bias ? v + bias[i % rows] : v); });
  return e;
}

/// Sums of x [N, K] over its rows.
template <class A>
Tensor sum_of_rows(const Tensor& x) {
  const std::int64_t count = x.dim(1);
  return gradient_over_images<A>(x.dim(0), count, [&](std::int64_t i, double* sum) {
    for (std::int64_t k = 0; k < count; ++k) sum[k] += x.data<A>()[i * count + k];
  });
}

}  // namespace

Tensor Excite::forward(Saved& saved, const Tensor& z, const Tensor& w1, const Tensor& b1,
                       const Tensor& w2, const Tensor& b2) const {
  check_input(name, "z", z);
  check(z.rank() == 2 && z.dtype() != DType::bf16, name, ": z must be [N, C] f32 or f64, got ",
        Form::of(z));
  check_input(name, "the first weight", w1);
  check_input(name, "the second weight", w2);
  check(w1.rank() == 2 && w2.rank() == 2, name, ": weights must be [R, K] and [C, R], got ",
        w1.shape(), " and ", w2.shape());
  const std::int64_t in = z.dim(1), r = w1.dim(0), c = w2.dim(0);
  check(w1.dim(1) == in && w2.dim(1) == r && w1.dtype() == z.dtype() && w2.dtype() == z.dtype(),
        name, ": z ", Form::of(z), " expects weights [R, ", in, "] and [C, R] of its type, got ",
        Form::of(w1), " and ", Form::of(w2));
  check_optional(name, "first bias", b1, {{r}, z.dtype()});
  check_optional(name, "second bias", b2, {{c}, z.dtype()});
  return dispatch_float(z.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    const Tensor h = layer<A>(z, w1, b1, [](A v) { return functions::Relu::value(v); });
    const Tensor s = with_gate(
        gate, [&](auto f) { return layer<A>(h, w2, b2, [f](A v) { return f.value(v); }); });
    saved = {z, w1, w2, h, s};
    return s;
  });
}

Grads<5> Excite::backward(Saved& saved, Tensor ds, Needs<5> needs) const {
  const Tensor &z = saved.z, &w1 = saved.w1, &w2 = saved.w2, &h = saved.h, &s = saved.s;
  check_gradient(name, ds, Form::of(s));
  const std::int64_t n = z.dim(0), in = z.dim(1), r = w1.dim(0), c = w2.dim(0);
  return dispatch_float(z.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor de({n, c}, dtype_of<A>), dh({n, r}, dtype_of<A>), dz(z.shape(), dtype_of<A>),
        dw1(w1.shape(), dtype_of<A>), dw2(w2.shape(), dtype_of<A>);
    const A *dsp = ds.data<A>(), *sp = s.data<A>(), *hp = h.data<A>();
    const Matrix<A> zm{z.data<A>(), in}, hm{hp, r}, w1m{w1.data<A>(), in}, w2m{w2.data<A>(), r},
        dem{de.data<A>(), c}, dhm{dh.data<A>(), r};
    with_gate(gate, [&](auto f) {
      each<A>(de, [&](std::int64_t i, A& v) { v = f.gradient(dsp[i], sp[i]); });
    });
    multiply<A>(dem, w2m, dh.data<A>(), n, r, c);
    each<A>(dh, [&](std::int64_t i, A& v) { v = functions::Relu::gradient(v, hp[i]); });
    Grads<5> grads;
    multiply<A>(dhm, w1m, dz.data<A>(), n, in, r);
    multiply_over_images<A>(dhm, zm, dw1.data<A>(), r, in, n);
    multiply_over_images<A>(dem, hm, dw2.data<A>(), c, r, n);
    grads[0] = dz;
    grads[1] = dw1;
    grads[3] = dw2;
    if (needs[2]) grads[2] = sum_of_rows<A>(dh);
    if (needs[4]) grads[4] = sum_of_rows<A>(de);
    return grads;
  });
}

std::int64_t Excite::multiply_adds(const Tensor&, const Tensor& z, const Tensor& w1, const Tensor&,
                                   const Tensor& w2, const Tensor&) const {
  return z.dim(0) * (w1.numel() + w2.numel());
}

std::vector<Example<Excite>> Excite::examples() {
  std::vector<Example<Excite>> out;
  for (GateKind kind :
       {GateKind::sigmoid, GateKind::tanh, GateKind::relu, GateKind::hard_sigmoid}) {
    out.push_back({{kind}, {{3, 8}, {2, 8}, {2}, {8, 2}, {8}}});
    out.push_back({{kind}, {{2, 5}, {1, 5}, absent, {5, 1}, absent}});
  }
  out.push_back({{}, {{5, 33}, {3, 33}, {3}, {33, 3}, {33}}});
  out.push_back({{}, {{1, 37}, {5, 37}, {5}, {37, 5}, {37}}});  // one image
  out.push_back({{}, {{3, 4}, {2, 4}, {2}, {9, 2}, {9}}});
  return out;
}

}  // namespace exciton::ops
