/// Channel shuffle (Zhang et al. 2018, ShuffleNet, section 3.1).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x [..., C], C = groups * m -> y[..., k groups + g] = x[..., g m + k]: the k-th channels of all
/// groups come together. Backward: the same with m groups. Errors: groups do not divide C.
struct ChannelShuffle {
  static constexpr std::string_view name = "channel_shuffle";
  std::int64_t groups = 2;
  struct Saved {
    Form form;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<ChannelShuffle>> examples();
};

inline Var channel_shuffle(const Var& x, std::int64_t groups) {
  return apply(ChannelShuffle{groups}, x);
}

}  // namespace exciton::ops
