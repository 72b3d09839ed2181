/// A range of channels, and the split into ranges.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x [..., C] -> y [..., count] = x[..., begin : begin + count].
/// Backward: dx is dy there and 0 in the other channels. Errors: a range outside of C,
/// or without channels.
struct SliceChannels {
  static constexpr std::string_view name = "slice_channels";
  std::int64_t begin = 0, count = 0;
  struct Saved {
    Form x, y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<SliceChannels>> examples();
};

inline Var slice_channels(const Var& x, std::int64_t begin, std::int64_t count) {
  return apply(SliceChannels{begin, count}, x);
}

/// x cut into consecutive ranges of channels. Errors: the counts do not add up to C.
std::vector<Var> split(const Var& x, const std::vector<std::int64_t>& counts);

}  // namespace exciton::ops
