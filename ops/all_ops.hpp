/// Every operator by name. The gradient check, the twin test and the benchmark run over AllOps: a
/// new operator is one file pair and one name here, and one without examples does not compile.
#pragma once
#include "exciton/ops/activations.hpp"
#include "exciton/ops/add.hpp"
#include "exciton/ops/avg_pool.hpp"
#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/binary_cross_entropy.hpp"
#include "exciton/ops/cast.hpp"
#include "exciton/ops/channel_shuffle.hpp"
#include "exciton/ops/concat.hpp"
#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/convolution/norm_relu_conv.hpp"
#include "exciton/ops/cross_entropy.hpp"
#include "exciton/ops/dropout.hpp"
#include "exciton/ops/gather_rows.hpp"
#include "exciton/ops/global_avg_pool.hpp"
#include "exciton/ops/linear.hpp"
#include "exciton/ops/max_pool.hpp"
#include "exciton/ops/mul.hpp"
#include "exciton/ops/reshape.hpp"
#include "exciton/ops/roi_align.hpp"
#include "exciton/ops/se/channel_conv.hpp"
#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/residual_tail.hpp"
#include "exciton/ops/se/scale.hpp"
#include "exciton/ops/se/squeeze.hpp"
#include "exciton/ops/shake_shake.hpp"
#include "exciton/ops/shortcut_pad.hpp"
#include "exciton/ops/slice_channels.hpp"
#include "exciton/ops/smooth_activations.hpp"
#include "exciton/ops/smooth_l1.hpp"
#include "exciton/ops/times.hpp"
#include "exciton/ops/upsample_nearest.hpp"

namespace exciton::ops {

/// An operator that brings test cases of itself.
template <class Op>
concept OperatorWithExamples = Operator<Op> && requires {
  { Op::examples() } -> std::same_as<std::vector<Example<Op>>>;
};

template <OperatorWithExamples... Ops>
struct OpList {
  /// The same list inside another template, such as testing::Types.
  template <template <class...> class Into>
  using as = Into<Ops...>;
};

using AllOps = OpList<Conv2d, BatchNorm, Squeeze, Excite, Scale, ResidualTail, NormReluConv, Linear,
                      Relu, Sigmoid, Tanh, HardSigmoid, Add, Mul, MaxPool, AvgPool, GlobalAvgPool,
                      Reshape, CrossEntropy, Dropout, Concat, SliceChannels, ChannelShuffle,
                      ShortcutPad, Cast, ChannelConv, ShakeShake, RoiAlign, UpsampleNearest,
                      GatherRows, SmoothL1, BinaryCrossEntropy, Gelu, Silu, Times>;

/// f.template operator()<Op>() for every operator of the list.
template <class... Ops, class F>
void for_each_operator(OpList<Ops...>, F&& f) {
  (f.template operator()<Ops>(), ...);
}

/// f(example) for every example of every operator of the list.
template <class... Ops, class F>
void for_each_example(OpList<Ops...>, F&& f) {
  const auto all_of = [&](const auto& examples) {
    for (const auto& example : examples) f(example);
  };
  (all_of(Ops::examples()), ...);
}

}  // namespace exciton::ops
