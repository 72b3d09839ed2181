/// Sums over images: weight gradients, norm statistics and their gradients, the loss. Each is a
/// balanced binary tree over leaves of whole images, summed in order within a leaf. How many leaves
/// there are is a function of the shapes alone, and who sums which changes no bit: results are the
/// same for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "exciton/core/group.hpp"
#include "exciton/core/tensor.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {

/// A batch in leaves, a power of two of them. Leaf l of K has the images [l N / K, (l + 1) N / K),
/// so that with half as many each leaf is two of these. Where this process has a part of the batch
/// (core/group.hpp), `count` of the K leaves are whole in it: those that its images make up, if
/// the number of ranks divides K, which gives the sum over all ranks the bits of one process; else
/// its images are cut for themselves.
class Leaves {
 public:
  static constexpr int most = 16;
  static constexpr std::int64_t least_work = std::int64_t{8} << 20;  ///< multiply-adds, see worth()

  std::int64_t images;  ///< that are here
  int count = 1;        ///< leaves that are here
  int of_batch = 1;     ///< K

  /// As many as there can be: for sums whose terms are few beside the pass that makes them.
  explicit Leaves(std::int64_t n) : images(n), total_(images_of_batch(n)) {
    while (of_batch < most && 2 * of_batch <= total_) of_batch *= 2;
    settle();
  }
  /// For a gradient of `weights` elements, made of maps that have so many in these images: no more
  /// than keep the partial sums, of which each leaf has its own, little beside the maps.
  static Leaves of_gradient(std::int64_t n, std::int64_t weights, std::int64_t maps) {
    Leaves out(n);
    maps = out.in_batch(maps);
    while (out.of_batch > 1 && 4 * out.of_batch * weights > maps) out.of_batch /= 2;
    out.settle();
    return out;
  }
  /// No more than have `least_work` each: less is not worth a call of its own.
  Leaves worth(std::int64_t multiply_adds) const {
    Leaves out = *this;
    multiply_adds = in_batch(multiply_adds);
    while (out.of_batch > 1 && multiply_adds / out.of_batch < least_work) out.of_batch /= 2;
    out.settle();
    return out;
  }
  /// For a sum that is not cut.
  static Leaves one(std::int64_t n) { return Leaves(n).worth(0); }
  /// What these images have so many of, in the whole batch.
  std::int64_t in_batch(std::int64_t many) const {
    return images > 0 ? many / images * total_ : many;
  }

  Chunk operator[](std::int64_t leaf) const {
    if (!whole_) return {leaf * images / count, (leaf + 1) * images / count};
    const std::int64_t at = first_leaf_ + leaf;
    return {at * total_ / of_batch - first_, (at + 1) * total_ / of_batch - first_};
  }

 private:
  void settle() {
    Share* const share = Share::active();
    if (!share || share->images != images) {
      count = of_batch;
      return;
    }
    const int ranks = share->group.size();
    share->least_leaves = std::min(share->least_leaves, of_batch);
    whole_ = of_batch % ranks == 0 && share->even();
    first_ = share->first;
    count = std::max(1, of_batch / ranks);
    first_leaf_ = share->group.rank() * count;
    if (whole_) return;
    while ((count & (count - 1)) != 0) count &= count - 1;
    while (count > images && count > 1) count /= 2;
  }

  std::int64_t total_, first_ = 0, first_leaf_ = 0;
  bool whole_ = false;  ///< whether its leaves are the batch's
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

/// The gradient [count] of a parameter of type A as a sum over images of rows of doubles, as above;
/// each leaf's is rounded to A before they are added, as every gradient's is: ranks go on adding.
template <class A, class F>
Tensor gradient_over_images(std::int64_t images, std::int64_t count, const F& add) {
  const Leaves leaves(images);
  std::vector<double> row(static_cast<std::size_t>(count));
  Tensor rows({leaves.count, count}, dtype_of<A>);
  A* const sums = rows.template data<A>();
  for (int l = 0; l < leaves.count; ++l) {
    std::fill(row.begin(), row.end(), 0.0);
    const Chunk here = leaves[l];
    for (std::int64_t i = here.begin; i < here.end; ++i) add(i, row.data());
    for (std::int64_t k = 0; k < count; ++k)
      sums[l * count + k] = static_cast<A>(row[static_cast<std::size_t>(k)]);
  }
  fold_leaves(sums, leaves.count, count, 0, count);
  Tensor out({count}, dtype_of<A>);
  std::copy_n(sums, count, out.template data<A>());
  return out;
}

}  // namespace exciton::ops
