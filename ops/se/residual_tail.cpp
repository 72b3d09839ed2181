#include "exciton/ops/se/residual_tail.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "exciton/core/example.hpp"
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/se/scale.hpp"
#include "exciton/ops/simd/passes.hpp"

namespace exciton::ops {
namespace {

/// f(i) for the rows of an [n, c] between the passes, cut over threads.
template <class F>
void each_row(std::int64_t n, std::int64_t c, const F& f) {
  parallel_for(n, std::max<std::int64_t>(1, (1 << 12) / c),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) f(i);
               });
}

/// factors[n, c] = per_channel[c] * gates[n, c], or one row of per_channel without gates.
template <class A>
Tensor image_factors(const Tensor& per_channel, const Tensor& gates) {
  if (gates.empty()) return per_channel;
  const std::int64_t n = gates.dim(0), c = gates.dim(1);
  Tensor out({n, c}, dtype_of<A>);
  const A *p = per_channel.data<A>(), *s = gates.data<A>();
  A* f = out.data<A>();
  each_row(n, c, [&](std::int64_t i) {
    for (std::int64_t k = 0; k < c; ++k) f[i * c + k] = p[k] * s[i * c + k];
  });
  return out;
}

/// The norm's affine function of y with gates, for the kernels: s (a (y - center) + b).
template <class T>
class GatedAffine {
 public:
  GatedAffine(const NormAffine& norm, const NormStatistics& stats, const Tensor& gates)
      : a_(image_factors<Acc<T>>(norm.a, gates)),
        b_(image_factors<Acc<T>>(norm.b, gates)),
        center_(stats.center),
        row_(gates.empty() ? 0 : gates.dim(1)) {}
  typename simd::ChannelKernels<T>::Affine at(std::int64_t image) const {
    using A = Acc<T>;
    return {a_.data<A>() + image * row_, b_.data<A>() + image * row_, center_.data<A>()};
  }

 private:
  Tensor a_, b_, center_;
  std::int64_t row_;
};

/// Max squeeze of y [N, pixels, C] behind the norm: for each image and channel the y whose
/// a (y - center) is largest, less center, and its pixel.
template <class T>
void extremes_of(const T* y, const simd::Partition& cut, const Acc<T>* a, const Acc<T>* center,
                 Acc<T>* value, std::int64_t* where) {
  using A = Acc<T>;
  const std::int64_t c = cut.c;
  Tensor low({cut.images, c}, dtype_of<A>), low_at({cut.images, c}, DType::i64);
  A* lp = low.data<A>();
  std::int64_t* lat = low_at.data<std::int64_t>();
  parallel_for(cut.images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* image = y + i * cut.pixels * c;
      simd::channel_kernels<T>().extremes(image, cut.pixels, c, value + i * c, where + i * c,
                                          lp + i * c, lat + i * c);
      for (std::int64_t k = 0; k < c; ++k) {
        const std::int64_t j = i * c + k;
        // With a = 0 all are equal, so the first is the largest; but 0 times infinity is NaN.
        const bool equal = a[k] == 0 && std::isfinite(value[j]) && std::isfinite(lp[j]);
        if (equal) {
          value[j] = static_cast<A>(image[k]);
          where[j] = 0;
        } else if (a[k] < 0 || (a[k] == 0 && std::isfinite(value[j]))) {
          value[j] = lp[j];
          where[j] = lat[j];
        }
        value[j] -= center[k];
      }
    }
  });
}

}  // namespace

Tensor ResidualTail::forward(Saved& saved, const Tensor& y, const Tensor& gamma, const Tensor& beta,
                             const Tensor& shortcut, const Tensor& w1, const Tensor& b1,
                             const Tensor& w2, const Tensor& b2) const {
  check_input(name, "y", y);
  check(y.rank() == 4, name, ": y must be [N, H, W, C], got ", y.shape());
  const std::int64_t n = y.dim(0), c = y.dim(3), pixels = y.dim(1) * y.dim(2);
  check(gamma.shape() == Shape{c} && beta.shape() == Shape{c}, name, ": y ", y.shape(), " has ", c,
        " channels, gamma is ", gamma.shape(), ", beta ", beta.shape());
  check_form(name, "gamma", gamma, {{c}, acc_type(y.dtype())});
  check_form(name, "beta", beta, {{c}, acc_type(y.dtype())});
  check(shortcut.empty() || (shortcut.shape() == y.shape() && shortcut.dtype() == y.dtype()), name,
        ": shortcut is ", shortcut.shape(), " ", shortcut.dtype(), ", the branch ", y.shape(), " ",
        y.dtype());
  check(w1.empty() == w2.empty(), name, ": SE expects both excitation weights or none");
  check(w2.empty() || (w2.rank() == 2 && w2.dim(0) == c), name, ": y ", y.shape(),
        " expects a second excitation weight [", c, ", R], got ", w2.shape());
  check(!w1.empty() || (b1.empty() && b2.empty()), name, ": excitation biases without weights");
  const bool se = !w1.empty();
  return dispatch_float(y.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::Partition cut = simd::Partition::of(y.shape());
    const T* yp = y.data<T>();
    const bool of_max = se && squeeze == SqueezeKind::max;
    simd::ImageMoments moments;
    if (norm.training || (se && !of_max)) moments = simd::image_moments(cut, yp);
    saved.y = y;
    saved.stats = norm_statistics(norm, &moments, cut.values(), c, dtype_of<A>);
    saved.norm = NormAffine(saved.stats, gamma, beta);
    if (se) {
      saved.squeezed = Tensor({n, c}, dtype_of<A>);
      const A *ap = saved.norm.a.data<A>(), *bp = saved.norm.b.data<A>();
      A* v = saved.squeezed.data<A>();
      if (of_max) {
        saved.where = Tensor({n, c}, DType::i64);
        extremes_of(yp, cut, ap, std::as_const(saved.stats.center).data<A>(), v,
                    saved.where.data<std::int64_t>());
      } else {
        const double each_pixel = 1.0 / static_cast<double>(pixels);
        const A *reference = moments.reference.data<A>(), *center = saved.stats.center.data<A>();
        each_row(n, c, [&](std::int64_t i) {
          for (std::int64_t k = 0; k < c; ++k) {
            const double move = static_cast<double>(reference[k]) - static_cast<double>(center[k]);
            v[i * c + k] = static_cast<A>(moments.sums.a()[i * c + k] * each_pixel + move);
          }
        });
      }
      Tensor z({n, c}, dtype_of<A>);
      A* zp = z.data<A>();
      each_row(n, c, [&](std::int64_t i) {
        for (std::int64_t k = 0; k < c; ++k) zp[i * c + k] = ap[k] * v[i * c + k] + bp[k];
      });
      saved.gates = Excite{gate}.forward(saved.excite, z, w1, b1, w2, b2);
      if (watch) (*watch)(saved.gates);
    }
    const GatedAffine<T> affine(saved.norm, saved.stats, saved.gates);
    Tensor out(y.shape(), y.dtype());
    T* op = out.data<T>();
    const T* sp = shortcut.empty() ? nullptr : shortcut.data<T>();
    cut.run([&](auto, std::int64_t i, std::int64_t at, std::int64_t count) {
      kernels.apply(yp + at, affine.at(i), sp ? sp + at : nullptr, relu, op + at, count, c);
    });
    saved.shortcut = !shortcut.empty();
    saved.relu_affine = relu && shortcut.empty();
    if (relu && !saved.relu_affine) saved.out = out;
    return out;
  });
}

Tensor ResidualTail::recompute(const Saved& saved) const {
  check(!saved.shortcut, name, ": cannot be computed again without its shortcut");
  Tensor out(saved.y.shape(), saved.y.dtype());
  dispatch_float(out.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    const simd::Partition cut = simd::Partition::of(out.shape());
    const GatedAffine<T> affine(saved.norm, saved.stats, saved.gates);
    cut.run([&](auto, std::int64_t i, std::int64_t at, std::int64_t count) {
      simd::channel_kernels<T>().apply(saved.y.data<T>() + at, affine.at(i), nullptr, relu,
                                       out.data<T>() + at, count, cut.c);
    });
  });
  return out;
}

Grads<8> ResidualTail::backward_sum(Saved& saved, Tensor dout, Tensor dout2, Needs<8> needs) const {
  check_gradient(name, dout, Form::of(saved.y));
  check_optional(name, "the second gradient", dout2, Form::of(saved.y));
  return dispatch_float(dout.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const Shape shape = saved.y.shape();
    const simd::Partition cut = simd::Partition::of(shape);
    const std::int64_t n = cut.images, c = cut.c;
    const bool se = !saved.gates.empty();
    const std::int64_t row = se ? c : 0;

    // Pass one. g is kept where somebody needs it: the shortcut, or pass two when the sum of two
    // gradients or the mask should not be formed again.
    const T *yp = saved.y.data<T>(), *dp = dout.data<T>();
    const T* d2p = dout2.empty() ? nullptr : dout2.data<T>();
    const GatedAffine<T> affine(saved.norm, saved.stats, saved.gates);
    const A* center = saved.stats.center.data<A>();
    const auto mask_at = [&](std::int64_t i, std::int64_t at) {
      typename simd::ChannelKernels<T>::Mask mask;
      if (saved.relu_affine)
        mask.of = affine.at(i);
      else if (relu)
        mask.out = saved.out.data<T>() + at;
      return mask;
    };
    const bool keep = saved.shortcut ? (relu || d2p) : d2p != nullptr;
    Tensor& g_home = dout.shared() && !dout2.empty() ? dout2 : dout;
    Tensor g = keep ? reuse_or_new(g_home, shape, dout.dtype()) : dout;
    T* gp = keep ? g.data<T>() : nullptr;
    const auto sums = simd::image_sums(cut, [&](auto, std::int64_t i, std::int64_t at,
                                                std::int64_t count, double* sum, double* product) {
      kernels.backward_sums(dp + at, d2p ? d2p + at : nullptr, mask_at(i, at), yp + at, center,
                            gp ? gp + at : nullptr, count, c, sum, product);
    });
    const double *G = sums.a(), *P = sums.b();

    // Between the passes: everything per image and channel.
    const A *ap = saved.norm.a.data<A>(), *bp = saved.norm.b.data<A>();
    const A* rstds = saved.stats.rstd.data<A>();
    const double* rests = saved.stats.rest.data<double>();
    const A* s = se ? saved.gates.data<A>() : nullptr;
    const A* v = se ? saved.squeezed.data<A>() : nullptr;
    Grads<8> grads;
    Tensor dz;
    if (se) {
      Tensor ds({n, c}, dtype_of<A>);
      A* dsp = ds.data<A>();
      each_row(n, c, [&](std::int64_t i) {
        for (std::int64_t k = 0; k < c; ++k) {
          const std::int64_t j = i * c + k;
          dsp[j] =
              static_cast<A>(static_cast<double>(ap[k]) * P[j] + static_cast<double>(bp[k]) * G[j]);
        }
      });
      auto from_gate = Excite{gate}.backward(saved.excite, std::move(ds),
                                             {true, needs[4], needs[5], needs[6], needs[7]});
      dz = std::move(from_gate[0]);
      for (std::size_t i = 1; i < 5; ++i) grads[i + 3] = std::move(from_gate[i]);
    }
    const A* dzp = se ? dz.data<A>() : nullptr;
    grads[1] = Tensor({c}, dtype_of<A>);
    grads[2] = Tensor({c}, dtype_of<A>);
    const double m = values_of_norm(cut.values(), n);
    const Leaves leaves(n);
    Tensor gamma_rows({leaves.count, c}, dtype_of<A>), beta_rows({leaves.count, c}, dtype_of<A>);
    A *gamma_sums = gamma_rows.data<A>(), *beta_sums = beta_rows.data<A>();
    std::vector<double> dgamma(static_cast<std::size_t>(leaves.count * c), 0.0),
        dbeta(static_cast<std::size_t>(leaves.count * c), 0.0);
    parallel_for(
        c, std::max<std::int64_t>(1, (1 << 12) / n), [&](std::int64_t k0, std::int64_t k1) {
          for (int leaf = 0; leaf < leaves.count; ++leaf) {
            double *const to_dgamma = dgamma.data() + leaf * c, *to_dbeta = dbeta.data() + leaf * c;
            for (std::int64_t i = leaves[leaf].begin; i < leaves[leaf].end; ++i)
              for (std::int64_t k = k0; k < k1; ++k) {
                const std::int64_t j = i * c + k;
                const auto rstd = static_cast<double>(rstds[k]);
                const double sj = s ? static_cast<double>(s[j]) : 1.0;
                const double dzj = dzp ? static_cast<double>(dzp[j]) : 0.0;
                to_dbeta[k] += sj * G[j] + dzj;
                to_dgamma[k] += sj * rstd * (P[j] - rests[k] * G[j]);
                if (dzp) to_dgamma[k] += dzj * rstd * (static_cast<double>(v[j]) - rests[k]);
              }
          }
          // As gradients they are rounded leaf by leaf (gradient_over_images), as sums at the end.
          for (std::int64_t leaf = 0; leaf < leaves.count; ++leaf)
            for (std::int64_t j = leaf * c + k0; j < leaf * c + k1; ++j) {
              gamma_sums[j] = static_cast<A>(dgamma[static_cast<std::size_t>(j)]);
              beta_sums[j] = static_cast<A>(dbeta[static_cast<std::size_t>(j)]);
            }
          for (A* rows : {gamma_sums, beta_sums}) fold_leaves(rows, leaves.count, c, k0, k1);
          for (std::vector<double>* rows : {&dgamma, &dbeta})
            fold_leaves(rows->data(), leaves.count, c, k0, k1);
        });
    std::copy_n(gamma_sums, c, grads[1].data<A>());
    std::copy_n(beta_sums, c, grads[2].data<A>());
    dgamma.resize(static_cast<std::size_t>(c));
    dbeta.resize(static_cast<std::size_t>(c));
    if (norm.training) sum_of_norms(dgamma, dbeta);
    if (!needs[0] && !needs[3]) return grads;

    // Pass two.
    const std::int64_t rows = se ? n : 1;
    Tensor p({rows, c}, dtype_of<A>), q({rows, c}, dtype_of<A>), r({rows, c}, dtype_of<A>);
    A *pp = p.data<A>(), *qp = q.data<A>(), *rp = r.data<A>();
    const bool spread = se && squeeze == SqueezeKind::avg;
    const double each_value = 1.0 / m, each_pixel = 1.0 / static_cast<double>(cut.pixels);
    each_row(rows, c, [&](std::int64_t i) {
      for (std::int64_t k = 0; k < c; ++k) {
        const std::int64_t j = i * c + k;
        const auto kk = static_cast<std::size_t>(k);
        const auto a = static_cast<double>(ap[k]);
        const auto rstd = static_cast<double>(rstds[k]);
        double qj = 0, rj = 0;
        if (norm.training) {
          qj = -a * rstd * dgamma[kk] * each_value;
          rj = a * (rstd * rests[k] * dgamma[kk] - dbeta[kk]) * each_value;
        }
        if (spread) rj += a * static_cast<double>(dzp[j]) * each_pixel;
        pp[j] = static_cast<A>(s ? a * static_cast<double>(s[j]) : a);
        qp[j] = static_cast<A>(qj);
        rp[j] = static_cast<A>(rj);
      }
    });
    const T* g2 = gp ? gp : dp;
    Tensor y_storage = std::move(saved.y);
    Tensor dy = reuse_or_new(y_storage, shape, g.dtype());
    T* out = dy.data<T>();
    cut.run([&](auto, std::int64_t i, std::int64_t at, std::int64_t count) {
      typename simd::ChannelKernels<T>::Mask mask;
      if (!gp) mask = mask_at(i, at);
      kernels.backward_apply(g2 + at, mask, yp + at, center, pp + i * row, qp + i * row,
                             rp + i * row, out + at, count, c);
    });
    if (se && squeeze == SqueezeKind::max)
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < c; ++k) {
          T& at = out[(i * cut.pixels + saved.where.data<std::int64_t>()[i * c + k]) * c + k];
          at = static_cast<T>(static_cast<A>(at) + ap[k] * dzp[i * c + k]);
        }
    grads[0] = std::move(dy);
    if (needs[3] && saved.shortcut) grads[3] = std::move(g);
    return grads;
  });
}

std::int64_t ResidualTail::multiply_adds(const Tensor& out, const Tensor&, const Tensor&,
                                         const Tensor&, const Tensor&, const Tensor& w1,
                                         const Tensor&, const Tensor&, const Tensor&) const {
  return w1.empty() ? 0 : 2 * out.dim(0) * w1.numel();
}

Var ResidualTail::composed(const ResidualTail& op, const Var& y, const Var& gamma, const Var& beta,
                           const Var& shortcut, const Var& w1, const Var& b1, const Var& w2,
                           const Var& b2) {
  Var out = batch_norm(y, gamma, beta, op.norm);
  if (!w1.empty())
    out = ops::scale(out, ops::excite(ops::squeeze(out, op.squeeze), w1, b1, w2, b2, op.gate));
  if (!shortcut.empty()) out = ops::add(out, shortcut);
  return op.relu ? ops::relu(out) : out;
}

std::vector<Example<ResidualTail>> ResidualTail::examples() {
  std::vector<Example<ResidualTail>> out;
  const auto add = [&](ResidualTail op, std::int64_t n, std::int64_t h, std::int64_t w,
                       std::int64_t c, std::int64_t hidden, bool shortcut, bool bias) {
    const Shape map{n, h, w, c};
    std::vector<Shape> in{map, {c}, {c}, shortcut ? map : absent, absent, absent, absent, absent};
    if (hidden > 0) {
      in[4] = {hidden, c};
      in[6] = {c, hidden};
      if (bias) {
        in[5] = {hidden};
        in[7] = {c};
      }
    }
    out.push_back({op, in});
  };
  for (bool relu : {true, false})
    for (bool shortcut : {true, false})
      for (SqueezeKind kind : {SqueezeKind::avg, SqueezeKind::max}) {
        add({.relu = relu, .squeeze = kind}, 2, 3, 4, 5, 2, shortcut, true);
        if (kind == SqueezeKind::avg) add({.relu = relu}, 3, 4, 3, 7, 0, shortcut, false);
      }
  add({.gate = GateKind::tanh}, 2, 3, 2, 17, 3, true, false);
  add({.gate = GateKind::relu}, 2, 1, 3, 4, 1, true, true);
  add({}, 1, 5, 4, 33, 2, true, true);
  return out;
}

}  // namespace exciton::ops
