#include "ops/se/excite.hpp"

#include <algorithm>
#include <cmath>

#include "core/threads.hpp"
#include "ops/matrix_product.hpp"
#include "ops/simd/channel_kernels.hpp"

namespace exciton::ops {
namespace {

constexpr std::pair<GateKind, std::string_view> gate_names[] = {
    {GateKind::sigmoid, "sigmoid"},
    {GateKind::tanh, "tanh"},
    {GateKind::relu, "relu"},
    {GateKind::hard_sigmoid, "hard_sigmoid"},
};

template <class A>
A gate_value(GateKind kind, A u) {
  switch (kind) {
    case GateKind::sigmoid:
      return 1 / (1 + std::exp(-u));
    case GateKind::tanh:
      return std::tanh(u);
    case GateKind::relu:
      return std::max(u, A{0});
    case GateKind::hard_sigmoid:
      return std::clamp(u / 6 + A{0.5}, A{0}, A{1});
  }
  return u;
}

/// The derivative of the gate, from its value.
template <class A>
A gate_slope(GateKind kind, A s) {
  switch (kind) {
    case GateKind::sigmoid:
      return s * (1 - s);
    case GateKind::tanh:
      return 1 - s * s;
    case GateKind::relu:
      return s > 0 ? A{1} : A{0};
    case GateKind::hard_sigmoid:
      return s > A{0} && s < A{1} ? A{1} / 6 : A{0};
  }
  return 1;
}

}  // namespace

GateKind parse_gate(std::string_view text) {
  for (const auto& [kind, name] : gate_names)
    if (name == text) return kind;
  fail("excite: gate \"", text, "\" is not one of sigmoid, tanh, relu, hard_sigmoid");
}

std::string_view name_of(GateKind kind) {
  for (const auto& [k, name] : gate_names)
    if (k == kind) return name;
  return "?";
}

// The two layers are matrix products of [N, C] with [C, C/r]. Those of fewer images than threads (a
// photograph to classify) are cut over the rows of the weights.

namespace {

/// u[j] = f(b[j] + sum over k of w[j, k] z[k]) for all rows j of w, cut over threads.
template <class A, class F>
void layer_of_one_image(const Tensor& w, const Tensor& b, const A* z, A* u, const F& f) {
  const std::int64_t rows = w.dim(0), columns = w.dim(1);
  parallel_for(rows, std::max<std::int64_t>(1, (1 << 14) / columns),
               [&](std::int64_t r0, std::int64_t r1) {
                 for (std::int64_t r = r0; r < r1; ++r) u[r] = b.empty() ? A{0} : b.data<A>()[r];
                 simd::channel_kernels<A>().matrix_vector(w.data<A>() + r0 * columns, z, u + r0,
                                                          r1 - r0, columns);
                 for (std::int64_t r = r0; r < r1; ++r) u[r] = f(u[r]);
               });
}

/// f(row, column, u[row, column]) for all of u [rows, columns], cut over threads by rows.
template <class A, class F>
void each(Tensor& u, const F& f) {
  const std::int64_t columns = u.dim(1);
  A* p = u.data<A>();
  parallel_for(u.dim(0), std::max<std::int64_t>(1, (1 << 12) / columns),
               [&](std::int64_t r0, std::int64_t r1) {
                 for (std::int64_t r = r0; r < r1; ++r)
                   for (std::int64_t k = 0; k < columns; ++k) f(r, k, p[r * columns + k]);
               });
}

/// u = f(x w' + b) for x [N, K], w [R, K].
template <class A, class F>
void layer(const Tensor& x, const Tensor& w, const Tensor& b, Tensor& u, const F& f) {
  multiply<A>({x.data<A>(), x.dim(1)}, {w.data<A>(), w.dim(1), true}, u.data<A>(), u.dim(0),
              u.dim(1), x.dim(1));
  const A* bias = b.empty() ? nullptr : b.data<A>();
  each<A>(u, [&](auto, std::int64_t k, A& v) { v = f(bias ? v + bias[k] : v); });
}

/// Sums of x [N, K] over its rows.
template <class A>
Tensor sum_of_rows(const Tensor& x) {
  Tensor sum = Tensor::zeros({x.dim(1)}, dtype_of<A>);
  for (std::int64_t i = 0; i < x.numel(); ++i) sum.data<A>()[i % x.dim(1)] += x.data<A>()[i];
  return sum;
}

}  // namespace

Tensor Excite::forward(Saved& saved, const Tensor& z, const Tensor& w1, const Tensor& b1,
                       const Tensor& w2, const Tensor& b2) const {
  check(z.rank() == 2, name, ": z must be [N, C], got ", z.shape());
  check(w1.rank() == 2 && w2.rank() == 2, name, ": weights must be [R, K] and [C, R], got ",
        w1.shape(), " and ", w2.shape());
  const std::int64_t n = z.dim(0), in = z.dim(1), r = w1.dim(0), c = w2.dim(0);
  check(w1.dim(1) == in && w2.dim(1) == r, name, ": z ", z.shape(), " wants weights [R, ", in,
        "] and [C, R], got ", w1.shape(), " and ", w2.shape());
  check(b1.empty() || b1.shape() == Shape{r}, name, ": first bias is ", b1.shape(), ", wants [", r,
        "]");
  check(b2.empty() || b2.shape() == Shape{c}, name, ": second bias is ", b2.shape(), ", wants [", c,
        "]");
  return dispatch_float(z.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor h({n, r}, dtype_of<A>), s({n, c}, dtype_of<A>);
    if (n < num_threads()) {
      for (std::int64_t i = 0; i < n; ++i) {
        A *hi = h.data<A>() + i * r, *si = s.data<A>() + i * c;
        layer_of_one_image(w1, b1, z.data<A>() + i * in, hi, [](A u) { return std::max(u, A{0}); });
        layer_of_one_image(w2, b2, hi, si, [&](A u) { return gate_value(gate, u); });
      }
      saved = {z, w1, w2, h, s};
      return s;
    }
    layer<A>(z, w1, b1, h, [](A u) { return std::max(u, A{0}); });
    layer<A>(h, w2, b2, s, [&](A u) { return gate_value(gate, u); });
    saved = {z, w1, w2, h, s};
    return s;
  });
}

Grads<5> Excite::backward(Saved& saved, Tensor ds, Needs<5> needs) const {
  const Tensor &z = saved.z, &w1 = saved.w1, &w2 = saved.w2, &h = saved.h, &s = saved.s;
  const std::int64_t n = z.dim(0), in = z.dim(1), r = w1.dim(0), c = w2.dim(0);
  return dispatch_float(z.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    Tensor du({n, c}, dtype_of<A>), dh({n, r}, dtype_of<A>), dz(z.shape(), dtype_of<A>),
        dw1(w1.shape(), dtype_of<A>), dw2(w2.shape(), dtype_of<A>);
    const A *dsp = ds.data<A>(), *sp = s.data<A>(), *hp = h.data<A>();
    const Matrix<A> zm{z.data<A>(), in}, hm{hp, r}, w1m{w1.data<A>(), in}, w2m{w2.data<A>(), r},
        dum{du.data<A>(), c}, dhm{dh.data<A>(), r};
    each<A>(du, [&](std::int64_t i, std::int64_t k, A& v) {
      v = dsp[i * c + k] * gate_slope(gate, sp[i * c + k]);
    });
    multiply<A>(dum, w2m, dh.data<A>(), n, r, c);
    each<A>(dh, [&](std::int64_t i, std::int64_t j, A& v) { v = hp[i * r + j] > 0 ? v : A{0}; });
    Grads<5> grads;
    multiply<A>(dhm, w1m, dz.data<A>(), n, in, r);
    multiply<A>({dhm.data, r, true}, zm, dw1.data<A>(), r, in, n);
    multiply<A>({dum.data, c, true}, hm, dw2.data<A>(), c, r, n);
    grads[0] = dz;
    grads[1] = dw1;
    grads[3] = dw2;
    if (needs[2]) grads[2] = sum_of_rows<A>(dh);
    if (needs[4]) grads[4] = sum_of_rows<A>(du);
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
  out.push_back({{}, {{3, 4}, {2, 4}, {2}, {9, 2}, {9}}});
  return out;
}

}  // namespace exciton::ops
