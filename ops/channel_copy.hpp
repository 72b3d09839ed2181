/// Copies of channel ranges between channels-last tensors.
#pragma once
#include <cstring>

#include "exciton/core/tensor.hpp"
#include "exciton/core/threads.hpp"

namespace exciton::ops {

/// to[p, to_begin + c] = from[p, from_begin + c] for all pixels p and c in [0, count). Types agree.
inline void copy_channels(const Tensor& from, std::int64_t from_begin, Tensor& to,
                          std::int64_t to_begin, std::int64_t count) {
  const auto size = static_cast<std::int64_t>(size_of(from.dtype()));
  const std::int64_t from_row = from.dim(-1) * size, to_row = to.dim(-1) * size;
  const std::int64_t bytes = count * size;
  if (bytes == 0 || from_row == 0) return;
  const auto* source = static_cast<const char*>(from.raw()) + from_begin * size;
  auto* target = static_cast<char*>(to.raw()) + to_begin * size;
  parallel_for(from.numel() / from.dim(-1), std::max<std::int64_t>(1, (1 << 16) / bytes),
               [=](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p)
                   std::memcpy(target + p * to_row, source + p * from_row,
                               static_cast<std::size_t>(bytes));
               });
}

}  // namespace exciton::ops
