#include "ops/batch_norm.hpp"

#include <cmath>

#include "ops/simd/passes.hpp"

namespace exciton::ops {

NormStatistics norm_statistics(const BatchNormSpec& spec, const double* sums, const double* squares,
                               std::int64_t images, std::int64_t count, std::int64_t channels,
                               DType type) {
  constexpr std::string_view name = BatchNorm::name;
  RunningStats* running = spec.running;
  if (running)
    check(running->mean.numel() == channels && running->var.numel() == channels, name,
          ": running statistics of ", running->mean.numel(), " channels for ", channels);
  NormStatistics out{Tensor({channels}, type), Tensor({channels}, type)};
  dispatch_float(type, name, [&](auto tag) {
    using A = decltype(tag);
    const auto store = [&](std::int64_t k, double mean, double var) {
      out.mean.data<Acc<A>>()[k] = static_cast<Acc<A>>(mean);
      out.rstd.data<Acc<A>>()[k] = static_cast<Acc<A>>(1 / std::sqrt(var + spec.eps));
    };
    if (!spec.training) {
      check(running != nullptr, name, ": evaluation needs running statistics");
      for (std::int64_t k = 0; k < channels; ++k) store(k, running->mean.at(k), running->var.at(k));
      return;
    }
    check(count > 1, name, ": training needs more than one value a channel, got ", count);
    const auto m = static_cast<double>(count);
    const auto total = simd::over_images(sums, images, channels);
    const auto square = simd::over_images(squares, images, channels);
    for (std::int64_t k = 0; k < channels; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const double mean = total[i] / m;
      const double var = std::max(0.0, square[i] / m - mean * mean);
      store(k, mean, var);
      if (running) {
        const double keep = 1 - spec.momentum;
        running->mean.set(k, keep * running->mean.at(k) + spec.momentum * mean);
        running->var.set(k, keep * running->var.at(k) + spec.momentum * var * m / (m - 1));
      }
    }
  });
  return out;
}

Tensor BatchNorm::forward(Saved& saved, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta) const {
  check(x.rank() == 4 || x.rank() == 2, name, ": x must be [N, H, W, C] or [N, C], got ",
        x.shape());
  const std::int64_t c = x.dim(-1);
  check(gamma.shape() == Shape{c} && beta.shape() == Shape{c}, name, ": x ", x.shape(), " has ", c,
        " channels, gamma is ", gamma.shape(), ", beta ", beta.shape());
  return dispatch_float(x.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::MapCut cut = simd::MapCut::of(x.shape());
    const T* xp = x.data<T>();
    simd::ImageSums sums;
    if (spec.training)
      sums = simd::image_sums(
          cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double* square) {
            kernels.sums(xp + at, pixels, c, sum, square);
          });
    const NormStatistics stats = norm_statistics(spec, spec.training ? sums.a() : nullptr,
                                                 spec.training ? sums.b() : nullptr, cut.images,
                                                 cut.values(), c, dtype_of<A>);
    Tensor a({c}, dtype_of<A>), b({c}, dtype_of<A>);
    A *ap = a.data<A>(), *bp = b.data<A>();
    for (std::int64_t k = 0; k < c; ++k) {
      ap[k] = gamma.data<A>()[k] * stats.rstd.data<A>()[k];
      bp[k] = beta.data<A>()[k] - ap[k] * stats.mean.data<A>()[k];
    }
    Tensor y(x.shape(), x.dtype());
    T* yp = y.data<T>();
    cut.run([&](auto, auto, std::int64_t at, std::int64_t pixels) {
      kernels.apply(xp + at, ap, bp, nullptr, false, yp + at, pixels, c);
    });
    saved = {x, gamma, stats.mean, stats.rstd};
    return y;
  });
}

Grads<3> BatchNorm::backward(Saved& saved, Tensor dy, Needs<3> needs) const {
  const std::int64_t c = dy.dim(-1);
  return dispatch_float(dy.dtype(), name, [&](auto tag) {
    using T = decltype(tag);
    using A = Acc<T>;
    const auto& kernels = simd::channel_kernels<T>();
    const simd::MapCut cut = simd::MapCut::of(dy.shape());
    const T *xp = saved.x.data<T>(), *dp = dy.data<T>();
    const auto sums = simd::image_sums(
        cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double* product) {
          kernels.backward_sums(dp + at, nullptr, {}, xp + at, nullptr, pixels, c, sum, product);
        });
    const auto g = simd::over_images(sums.a(), cut.images, c);
    const auto gx = simd::over_images(sums.b(), cut.images, c);
    Grads<3> grads;
    grads[1] = Tensor({c}, dtype_of<A>);
    grads[2] = Tensor({c}, dtype_of<A>);
    Tensor p({c}, dtype_of<A>), q({c}, dtype_of<A>), r({c}, dtype_of<A>);
    const auto m = static_cast<double>(cut.values());
    for (std::int64_t k = 0; k < c; ++k) {
      const auto i = static_cast<std::size_t>(k);
      const double mean = saved.mean.at(k), rstd = saved.rstd.at(k);
      const double a = saved.gamma.at(k) * rstd;
      const double dbeta = g[i], dgamma = rstd * (gx[i] - mean * g[i]);
      grads[1].data<A>()[k] = static_cast<A>(dgamma);
      grads[2].data<A>()[k] = static_cast<A>(dbeta);
      p.data<A>()[k] = static_cast<A>(a);
      q.data<A>()[k] = spec.training ? static_cast<A>(-a * rstd * dgamma / m) : A{0};
      r.data<A>()[k] =
          spec.training ? static_cast<A>(a * (rstd * mean * dgamma - dbeta) / m) : A{0};
    }
    if (needs[0]) {
      Tensor dx = reuse_or_new(dy, saved.x.shape(), dy.dtype());
      T* out = dx.data<T>();
      cut.run([&](auto, auto, std::int64_t at, std::int64_t pixels) {
        kernels.backward_apply(dp + at, {}, xp + at, p.data<A>(), q.data<A>(), r.data<A>(),
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
