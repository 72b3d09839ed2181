/// Sums over images: weight gradients, norm statistics and their gradients, the loss. Each is a
/// balanced binary tree over leaves of whole images, summed in order within a leaf. How many leaves
/// there are is a function of the shapes alone, and who sums which changes no bit: results are the
/// same for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "exciton/core/threads.hpp"

namespace exciton::ops {

/// A batch in `count` leaves, a power of two. Leaf l has the images [l N / count, (l + 1) N /
/// count), so that with half as many each leaf is two of these.
struct Leaves {
  static constexpr int most = 16;
  static constexpr std::int64_t least_work = std::int64_t{8} << 20;  ///< multiply-adds, see worth()

  std::int64_t images;
  int count = 1;

  /// As many as there can be: for sums whose terms are few beside the pass that makes them.
  explicit Leaves(std::int64_t n) : images(n) {
    while (count < most && 2 * count <= images) count *= 2;
  }
  /// For a gradient of `weights` elements, made of maps that have so many in a batch: no more than
  /// keep the partial sums, of which each leaf has its own, little beside the maps.
  static Leaves of_gradient(std::int64_t n, std::int64_t weights, std::int64_t maps) {
    Leaves out(n);
    while (out.count > 1 && 4 * out.count * weights > maps) out.count /= 2;
    return out;
  }
  /// No more than have `least_work` each: less is not worth a call of its own.
  Leaves worth(std::int64_t multiply_adds) const {
    Leaves out = *this;
    while (out.count > 1 && multiply_adds / out.count < least_work) out.count /= 2;
    return out;
  }

  Chunk operator[](std::int64_t leaf) const {
    return {leaf * images / count, (leaf + 1) * images / count};
  }
};

/// The sum of `count` rows of a matrix with `stride` elements a row, of their elements [begin,
/// end), in the first row; the others are overwritten.
template <class T>
void fold_leaves(T* rows, int count, std::int64_t stride, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t at_once = 1024;  // of all rows in the first-level cache
  for (std::int64_t b = begin; b < end; b += at_once) {
    const std::int64_t e = std::min(end, b + at_once);
    for (int step = 1; step < count; step *= 2)
      for (int row = 0; row + step < count; row += 2 * step) {
        T* const sum = rows + row * stride;
        const T* const other = sum + step * stride;
        for (std::int64_t i = b; i < e; ++i) sum[i] += other[i];
      }
  }
}

/// The same for whole rows, cut over threads.
template <class T>
void fold_leaves(T* rows, int count, std::int64_t elements) {
  if (count > 1)
    parallel_for(elements, 1 << 13, [&](std::int64_t begin, std::int64_t end) {
      fold_leaves(rows, count, elements, begin, end);
    });
}

/// Sums over images of a row of `count` values each: add(image, row) adds one's to a row of
/// doubles. The sum is in the first row of what `rows` points to, which has room for as many as
/// leaves.
template <class F>
void sum_over_images(const Leaves& leaves, std::int64_t count, double* rows, const F& add) {
  std::fill_n(rows, leaves.count * count, 0.0);
  for (int l = 0; l < leaves.count; ++l) {
    const Chunk images = leaves[l];
    for (std::int64_t i = images.begin; i < images.end; ++i) add(i, rows + l * count);
  }
  fold_leaves(rows, leaves.count, count, 0, count);
}

}  // namespace exciton::ops
