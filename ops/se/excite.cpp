#include "ops/se/excite.hpp"

#include <algorithm>
#include <cmath>

#include "core/threads.hpp"
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
      return s > 0 && s < 1 ? A{1} / 6 : A{0};
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

// The two layers are matrix products of [N, C] with [C, C/r]: too small for a library call to pay,
// and kept as the loops of the formulas. Rows of different images never meet, so images are cut
// over threads; sums over images run in image order. Fewer images than threads (a photograph to
// classify) are cut over the rows of the weights.

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
    Tensor w2t({r, c}, dtype_of<A>);  // so that both inner loops run along memory
    const A *zp = z.data<A>(), *w1p = w1.data<A>(), *w2p = w2.data<A>();
    A *hp = h.data<A>(), *sp = s.data<A>(), *tp = w2t.data<A>();
    for (std::int64_t k = 0; k < c; ++k)
      for (std::int64_t j = 0; j < r; ++j) tp[j * c + k] = w2p[k * r + j];
    parallel_for(n, std::max<std::int64_t>(1, (1 << 14) / (c * r)),
                 [&](std::int64_t i0, std::int64_t i1) {
                   for (std::int64_t i = i0; i < i1; ++i) {
                     const A* zi = zp + i * in;
                     A* si = sp + i * c;
                     for (std::int64_t k = 0; k < c; ++k)
                       si[k] = b2.empty() ? A{0} : b2.data<A>()[k];
                     for (std::int64_t j = 0; j < r; ++j) {
                       A u = b1.empty() ? A{0} : b1.data<A>()[j];
#pragma omp simd reduction(+ : u)
                       for (std::int64_t k = 0; k < in; ++k) u += zi[k] * w1p[j * in + k];
                       const A hj = std::max(u, A{0});
                       hp[i * r + j] = hj;
                       for (std::int64_t k = 0; k < c; ++k) si[k] += hj * tp[j * c + k];
                     }
                     for (std::int64_t k = 0; k < c; ++k) si[k] = gate_value(gate, si[k]);
                   }
                 });
    saved = {z, w1, w2, h, s};
    return s;
  });
}

Grads<5> Excite::backward(Saved& saved, Tensor ds, Needs<5> needs) const {
  const Tensor &z = saved.z, &w1 = saved.w1, &w2 = saved.w2, &h = saved.h, &s = saved.s;
  const std::int64_t n = z.dim(0), in = z.dim(1), r = w1.dim(0), c = w2.dim(0);
  return dispatch_float(z.dtype(), name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    const DType type = dtype_of<A>;
    Tensor du({n, c}, type), dh({n, r}, type), dz({n, in}, type);
    Tensor w2t({r, c}, type);
    const A *zp = z.data<A>(), *w1p = w1.data<A>(), *w2p = w2.data<A>(), *hp = h.data<A>(),
            *sp = s.data<A>(), *dsp = ds.data<A>();
    A *dup = du.data<A>(), *dhp = dh.data<A>(), *dzp = dz.data<A>(), *tp = w2t.data<A>();
    for (std::int64_t k = 0; k < c; ++k)
      for (std::int64_t j = 0; j < r; ++j) tp[j * c + k] = w2p[k * r + j];
    parallel_for(n, std::max<std::int64_t>(1, (1 << 14) / (c * r)),
                 [&](std::int64_t i0, std::int64_t i1) {
                   for (std::int64_t i = i0; i < i1; ++i) {
                     A *dui = dup + i * c, *dzi = dzp + i * in;
                     for (std::int64_t k = 0; k < c; ++k)
                       dui[k] = dsp[i * c + k] * gate_slope(gate, sp[i * c + k]);
                     for (std::int64_t k = 0; k < in; ++k) dzi[k] = 0;
                     for (std::int64_t j = 0; j < r; ++j) {
                       A v = 0;
#pragma omp simd reduction(+ : v)
                       for (std::int64_t k = 0; k < c; ++k) v += dui[k] * tp[j * c + k];
                       v = hp[i * r + j] > 0 ? v : A{0};
                       dhp[i * r + j] = v;
                       for (std::int64_t k = 0; k < in; ++k) dzi[k] += v * w1p[j * in + k];
                     }
                   }
                 });
    Grads<5> grads;
    grads[0] = dz;
    Tensor dw1({r, in}, type), dw2({c, r}, type), dw2t({r, c}, type);
    A *g1 = dw1.data<A>(), *g2t = dw2t.data<A>(), *g2 = dw2.data<A>();
    parallel_for(r, std::max<std::int64_t>(1, (1 << 14) / (c * n)),
                 [&](std::int64_t j0, std::int64_t j1) {
                   for (std::int64_t j = j0; j < j1; ++j) {
                     for (std::int64_t k = 0; k < in; ++k) g1[j * in + k] = 0;
                     for (std::int64_t k = 0; k < c; ++k) g2t[j * c + k] = 0;
                     for (std::int64_t i = 0; i < n; ++i) {
                       const A v = dhp[i * r + j], hij = hp[i * r + j];
                       for (std::int64_t k = 0; k < in; ++k) g1[j * in + k] += v * zp[i * in + k];
                       for (std::int64_t k = 0; k < c; ++k) g2t[j * c + k] += hij * dup[i * c + k];
                     }
                   }
                 });
    for (std::int64_t j = 0; j < r; ++j)
      for (std::int64_t k = 0; k < c; ++k) g2[k * r + j] = g2t[j * c + k];
    grads[1] = dw1;
    grads[3] = dw2;
    if (needs[2]) {
      grads[2] = Tensor::zeros({r}, type);
      for (std::int64_t i = 0; i < n * r; ++i) grads[2].data<A>()[i % r] += dhp[i];
    }
    if (needs[4]) {
      grads[4] = Tensor::zeros({c}, type);
      for (std::int64_t i = 0; i < n * c; ++i) grads[4].data<A>()[i % c] += dup[i];
    }
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
