/// Operators that move channels: the last axis of [N, H, W, C].
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

/// Any number of [N, H, W, Ci] -> [N, H, W, sum Ci], one after another.
/// Backward: each input gets its channels of dy. Errors: no inputs; N, H, W or types differ.
struct Concat {
  static constexpr std::string_view name = "concat";
  struct Saved {
    std::vector<Shape> shapes;
  };
  Tensor forward(Saved& saved, std::span<const Tensor> x) const;
  std::vector<Tensor> backward(Saved& saved, Tensor dy, std::span<const bool> needs) const;
  static std::vector<Example<Concat>> examples();
};
inline Var concat(const std::vector<Var>& x) { return apply(Concat{}, x); }

/// x [N, H, W, C] -> channels [begin, begin + count). Backward: dy there, 0 elsewhere.
/// Errors: a range outside C.
struct SliceChannels {
  static constexpr std::string_view name = "slice_channels";
  std::int64_t begin = 0, count = 0;
  struct Saved {
    Shape shape;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<SliceChannels>> examples();
};
inline Var slice_channels(const Var& x, std::int64_t begin, std::int64_t count) {
  return apply(SliceChannels{begin, count}, x);
}
/// x cut into pieces of the given channel counts. Errors: they do not sum to C.
std::vector<Var> split(const Var& x, const std::vector<std::int64_t>& counts);

/// ShuffleNet's permutation (Zhang et al. 2018): channels seen as [groups, C/groups], transposed:
///   y[..., j groups + g] = x[..., g C/groups + j]
/// Backward: the inverse permutation. Errors: groups do not divide C.
struct ChannelShuffle {
  static constexpr std::string_view name = "channel_shuffle";
  std::int64_t groups = 1;
  struct Saved {};
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<ChannelShuffle>> examples();
};
inline Var channel_shuffle(const Var& x, std::int64_t groups) {
  return apply(ChannelShuffle{groups}, x);
}

/// The parameter-free shortcut of CIFAR ResNets (He et al. 2016, option A): every stride-th pixel,
/// and zeros for the channels that are missing, half before and half behind (an odd one behind).
///   x [N, H, W, C] -> [N, ceil(H/stride), ceil(W/stride), channels]
/// Backward: dy of the kept pixels and channels, 0 elsewhere. Errors: channels below C.
struct ShortcutPad {
  static constexpr std::string_view name = "shortcut_pad";
  std::int64_t channels = 0, stride = 1;
  struct Saved {
    Shape shape;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<ShortcutPad>> examples();
};
inline Var shortcut_pad(const Var& x, std::int64_t channels, std::int64_t stride) {
  return apply(ShortcutPad{channels, stride}, x);
}

/// x in another floating type. Backward: dy in x's type.
struct Cast {
  static constexpr std::string_view name = "cast";
  DType to = DType::f32;
  struct Saved {
    DType from = DType::f32;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Cast>> examples();
};
inline Var cast(const Var& x, DType to) { return apply(Cast{to}, x); }

}  // namespace exciton::ops
