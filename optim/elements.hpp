/// One parallel pass over the elements of many tensors, as if they lay end to end.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "exciton/core/threads.hpp"

namespace exciton::optim {

/// Calls f(tensor, begin, end) for contiguous element ranges that together cover tensors of these
/// sizes. The threads get equal shares of the whole, so a few large tensors do not wait for many
/// small ones. f must not throw.
template <class F>
void for_all_elements(const std::vector<std::int64_t>& sizes, F&& f) {
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t n : sizes) offsets.push_back(offsets.back() + n);
  constexpr std::int64_t grain = 16384;
  parallel_for(offsets.back(), grain, [&](std::int64_t begin, std::int64_t end) {
    auto t = static_cast<std::size_t>(std::upper_bound(offsets.begin(), offsets.end(), begin) -
                                      offsets.begin() - 1);
    for (; t < sizes.size() && offsets[t] < end; ++t) {
      const std::int64_t from = std::max(begin, offsets[t]) - offsets[t];
      const std::int64_t to = std::min(end, offsets[t + 1]) - offsets[t];
      if (from < to) f(t, from, to);
    }
  });
}

/// Of all values, in double and by pieces of one size, so that the bits do not depend on the thread
/// count.
template <class T>
double sum_of_squares(std::span<T> values) {
  constexpr std::size_t piece = 1 << 14;
  std::vector<double> sums((values.size() + piece - 1) / piece);
  parallel_for(
      static_cast<std::int64_t>(sums.size()), 4, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
          for (const T v : values.subspan(i * piece, std::min(piece, values.size() - i * piece)))
            sums[i] += static_cast<double>(v) * static_cast<double>(v);
      });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace exciton::optim
