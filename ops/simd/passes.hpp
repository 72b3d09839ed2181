/// Whole-map passes: the channel kernels cut over images (and, for few images, over pixels) and
/// threads. Partial sums are combined in a fixed order.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "exciton/core/tensor.hpp"
#include "exciton/core/threads.hpp"
#include "exciton/ops/leaves.hpp"
#include "exciton/ops/simd/channel_kernels.hpp"

namespace exciton::ops::simd {

/// A feature map [images, pixels, c], cut into images x splits tasks: the same for any number of
/// threads.
struct Partition {
  std::int64_t images, pixels, c, splits;

  Partition(std::int64_t n, std::int64_t p, std::int64_t channels)
      : images(n), pixels(p), c(channels), splits(1) {
    constexpr std::int64_t tasks_wanted = 2 * Leaves::most, task_worth = 1 << 12;
    const std::int64_t all = images_of_batch(n);
    if (all < tasks_wanted && all > 0)
      splits =
          std::clamp<std::int64_t>(std::min(tasks_wanted / all, all * p * channels / task_worth), 1,
                                   std::max<std::int64_t>(1, p));
  }
  /// [N, H, W, C] is N images of H W pixels, [N, C] N images of one.
  static Partition of(const Shape& s) {
    return s.rank() == 2 ? Partition(s[0], 1, s[1]) : Partition(s[0], s[1] * s[2], s[3]);
  }
  std::int64_t tasks() const { return images * splits; }
  std::int64_t values() const { return pixels * images; }  ///< values per channel

  /// f(task, image, first pixel's element offset, pixel count) over all tasks, in parallel.
  template <class F>
  void run(F&& f) const {
    const std::int64_t work = std::max<std::int64_t>(1, images * pixels * c / tasks());
    parallel_for(tasks(), std::max<std::int64_t>(1, (1 << 12) / work),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t t = begin; t < end; ++t) {
                     const std::int64_t n = t / splits;
                     const Chunk p =
                         chunk_of(pixels, static_cast<int>(t % splits), static_cast<int>(splits));
                     f(t, n, (n * pixels + p.begin) * c, p.end - p.begin);
                   }
                 });
  }
};

/// Per-image, per-channel double sums [images, c], made of `rows` per task.
struct ImageSums {
  Tensor first, second;  ///< f64 [images, c]
  const double* a() const { return first.data<double>(); }
  const double* b() const { return second.data<double>(); }
};

/// Runs f(task, image, offset, pixels, double* first, double* second) with zeroed rows and folds
/// the rows of one image together.
template <class F>
ImageSums image_sums(const Partition& cut, F&& f) {
  Tensor first = Tensor({cut.tasks(), cut.c}, DType::f64);
  Tensor second = Tensor({cut.tasks(), cut.c}, DType::f64);
  double* a = first.data<double>();
  double* b = second.data<double>();
  cut.run([&](std::int64_t t, std::int64_t n, std::int64_t at, std::int64_t pixels) {
    std::fill_n(a + t * cut.c, cut.c, 0.0);
    std::fill_n(b + t * cut.c, cut.c, 0.0);
    f(t, n, at, pixels, a + t * cut.c, b + t * cut.c);
  });
  if (cut.splits == 1) return {first, second};
  ImageSums out{Tensor::zeros({cut.images, cut.c}, DType::f64),
                Tensor::zeros({cut.images, cut.c}, DType::f64)};
  double* fa = out.first.data<double>();
  double* fb = out.second.data<double>();
  for (std::int64_t t = 0; t < cut.tasks(); ++t)
    for (std::int64_t k = 0; k < cut.c; ++k) {
      fa[t / cut.splits * cut.c + k] += a[t * cut.c + k];
      fb[t / cut.splits * cut.c + k] += b[t * cut.c + k];
    }
  return out;
}

/// Sums of (y - reference) and its square over each image and channel, the latter about as large as
/// the deviations: the reference [c] is the first pixel of the batch, 0 where that is not finite.
struct ImageMoments {
  Tensor reference;  ///< Acc<T> [c]
  ImageSums sums;
};

template <class T>
ImageMoments image_moments(const Partition& cut, const T* y) {
  using A = Acc<T>;
  ImageMoments out{Tensor::zeros({cut.c}, dtype_of<A>), {}};
  A* k = out.reference.template data<A>();
  if (cut.values() > 0)
    for (std::int64_t i = 0; i < cut.c; ++i)
      if (const A first = static_cast<A>(y[i]); std::isfinite(first)) k[i] = first;
  if (norms_are_shared())
    Share::active()->group.broadcast(k, static_cast<std::size_t>(cut.c) * sizeof(A));
  const auto& kernels = channel_kernels<T>();
  out.sums = image_sums(
      cut, [&](auto, auto, std::int64_t at, std::int64_t pixels, double* sum, double* square) {
        kernels.moments(y + at, k, pixels, cut.c, sum, square);
      });
  return out;
}

/// Column sums of [images, c] that are here, leaf by leaf.
inline std::vector<double> over_images(const double* rows, std::int64_t images, std::int64_t c) {
  const Leaves leaves(images);
  std::vector<double> sums(static_cast<std::size_t>(leaves.count * c));
  sum_over_images(leaves, c, sums.data(), [&](std::int64_t n, double* sum) {
    for (std::int64_t k = 0; k < c; ++k) sum[k] += rows[n * c + k];
  });
  sums.resize(static_cast<std::size_t>(c));
  return sums;
}

}  // namespace exciton::ops::simd
