#include "exciton/ops/batch_norm.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "exciton/core/example.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/simd/passes.hpp"

namespace exciton::ops {

double values_of_norm(std::int64_t count, std::int64_t images) {
  return static_cast<double>(norms_are_shared() ? count / images * images_of_batch(images) : count);
}

void sum_of_norms(std::vector<double>& first, std::vector<double>& second) {
  if (!norms_are_shared()) return;
  std::vector<double> both(first);
  both.insert(both.end(), second.begin(), second.end());
  Share::active()->group.sum(both);
  const auto middle = both.begin() + std::ssize(first);
  std::copy(both.begin(), middle, first.begin());
  std::copy(middle, both.end(), second.begin());
}

NormStatistics norm_statistics(const BatchNormSpec& spec, const simd::ImageMoments* moments,
                               std::int64_t count, std::int64_t channels, DType type) {
  constexpr std::string_view name = BatchNorm::name;
  RunningStats* running = spec.running;
  check(spec.eps >= 0 && std::isfinite(spec.eps), name, ": eps must not be negative, got ",
        spec.eps);
  check(spec.momentum >= 0 && spec.momentum <= 1, name, ": momentum must be in [0, 1], got ",
        spec.momentum);
  if (running)
    for (const Tensor* t : {&running->mean, &running->var})
      check(t->shape() == Shape{channels} && (t->dtype() == DType::f32 || t->dtype() == DType::f64),
            name, ": running statistics are ", Form::of(*t), t->empty() ? " (empty)" : "",
            ", expected [", channels, "] f32 or f64");
  NormStatistics out{Tensor({channels}, type), Tensor({channels}, DType::f64),
                     Tensor({channels}, type)};
  const auto store = [&](std::int64_t k, double mean, double var) {
    out.center.set(k, mean);
    out.rest.set(k, mean - out.center.at(k));
    out.rstd.set(k, 1 / std::sqrt(var + spec.eps));
  };
  if (!spec.training) {
    check(running != nullptr, name, ": evaluation needs running statistics");
    for (std::int64_t k = 0; k < channels; ++k) store(k, running->mean.at(k), running->var.at(k));
    return out;
  }
  check(count > 1, name, ": training needs more than one value per channel, got ", count);
  const std::int64_t images = moments->sums.first.dim(0);
  const double m = values_of_norm(count, images);
  auto total = simd::over_images(moments->sums.a(), images, channels);
  auto square = simd::over_images(moments->sums.b(), images, channels);
  sum_of_norms(total, square);
  for (std::int64_t k = 0; k < channels; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const double offset = total[i] / m, difference = square[i] / m - offset * offset;
    const double mean = moments->reference.at(k) + offset;
    const double var = difference < 0 ? 0 : difference;  // NaN stays NaN
    store(k, mean, var);
    if (running) {
      const double keep = 1 - spec.momentum;
      running->mean.set(k, keep * running->mean.at(k) + spec.momentum * mean);
      running->var.set(k, keep * running->var.at(k) + spec.momentum * var * m / (m - 1));
    }
  }
  return out;
}

NormAffine::NormAffine(const NormStatistics& stats, const Tensor& gamma, const Tensor& beta)
    : a(gamma.shape(), gamma.dtype()), b(gamma.shape(), gamma.dtype()) {
  for (std::int64_t k = 0; k < gamma.numel(); ++k) {
    a.set(k, gamma.at(k) * stats.rstd.at(k));
    b.set(k, beta.at(k) - a.at(k) * stats.rest.at(k));
  }
}

Tensor BatchNorm::forward(Saved& saved, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta) const {
  check_input(name, "x", x);
  check(x.rank() == 4 || x.rank() == 2, name, ": x must be [N, H, W, C] or [N, C], got ",
        x.shape());
  const std::int64_t c = x.dim(-1);
  check(gamma.shape() == Shape{c} && beta.shape() == Shape{c}, name, ": x ", x.shape(), " has ", c,
        " channels, gamma is ", gamma.shape(), ", beta ", beta.shape());
  check_form(name, "gamma", gamma, {{c}, acc_type(x.dtype())});
  check_form(name, "beta", beta, {{c}, acc_type(x.dtype())});
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::Partition cut = simd::Partition::of(x.shape());
    const T* xp = x.data<T>();
    simd::ImageMoments moments;
    if (spec.training) moments = simd::image_moments(cut, xp);
    NormStatistics stats = norm_statistics(spec, &moments, cut.values(), c, dtype_of<A>);
    const NormAffine norm(stats, gamma, beta);
    const typename simd::ChannelKernels<T>::Affine affine{norm.a.data<A>(), norm.b.data<A>(),
                                                          std::as_const(stats.center).data<A>()};
    Tensor y(x.shape(), x.dtype());
    T* yp = y.data<T>();
    cut.run([&](auto, auto, std::int64_t at, std::int64_t pixels) {
      kernels.apply(xp + at, affine, nullptr, false, yp + at, pixels, c);
    });
    saved = {x, gamma, std::move(stats)};
    return y;
  });
}

Grads<3> BatchNorm::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  check_gradient(name, dy, Form::of(saved.x));
  const std::int64_t c = dy.dim(-1);
  return dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::Partition cut = simd::Partition::of(dy.shape());
    const T *xp = saved.x.data<T>(), *dp = dy.data<T>();
    const A* center = saved.stats.center.data<A>();
    const auto sums = simd::image_sums(
        cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double* product) {
          kernels.backward_sums(dp + at, nullptr, {}, xp + at, center, nullptr, pixels, c, sum,
                                product);
        });
    auto g = simd::over_images(sums.a(), cut.images, c);
    auto gx = simd::over_images(sums.b(), cut.images, c);
    if (spec.training) sum_of_norms(g, gx);
    Grads<3> grads;
    const auto rests = saved.stats.rest.span<double>();
    const A* rstds = saved.stats.rstd.data<A>();
    grads[1] = gradient_over_images<A>(cut.images, c, [&](std::int64_t i, double* sum) {
      for (std::int64_t k = 0; k < c; ++k)
        sum[k] += static_cast<double>(rstds[k]) *
                  (sums.b()[i * c + k] - rests[static_cast<std::size_t>(k)] * sums.a()[i * c + k]);
    });
    grads[2] = gradient_over_images<A>(cut.images, c, [&](std::int64_t i, double* sum) {
      for (std::int64_t k = 0; k < c; ++k) sum[k] += sums.a()[i * c + k];
    });
    Tensor p({c}, dtype_of<A>), q({c}, dtype_of<A>), r({c}, dtype_of<A>);
    const double m = values_of_norm(cut.values(), cut.images);
    for (std::int64_t k = 0; k < c; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const double rest = saved.stats.rest.at(k), rstd = saved.stats.rstd.at(k);
      const double a = saved.gamma.at(k) * rstd;
      const double dbeta = g[i], dgamma = rstd * (gx[i] - rest * g[i]);
      p.data<A>()[k] = static_cast<A>(a);
      q.data<A>()[k] = spec.training ? static_cast<A>(-a * rstd * dgamma / m) : A{0};
      r.data<A>()[k] =
          spec.training ? static_cast<A>(a * (rstd * rest * dgamma - dbeta) / m) : A{0};
    }
    if (needs[0]) {
      Tensor dx = reuse_or_new(dy, saved.x.shape(), dy.dtype());
      T* out = dx.data<T>();
      cut.run([&](auto, auto, std::int64_t at, std::int64_t pixels) {
        kernels.backward_apply(dp + at, {}, xp + at, center, p.data<A>(), q.data<A>(), r.data<A>(),
                               out + at, pixels, c);
      });
      grads[0] = std::move(dx);
    }
    return grads;
  });
}

std::vector<Example<BatchNorm>> BatchNorm::examples() {
  return {
      {{}, {{2, 3, 4, 5}, {5}, {5}}},     {{}, {{3, 2, 1, 1}, {1}, {1}}},
      {{}, {{4, 7}, {7}, {7}}},           {{}, {{1, 5, 7, 33}, {33}, {33}}},
      {{}, {{2, 9, 11, 19}, {19}, {19}}},
  };
}

}  // namespace exciton::ops
