/// Every operator by name. The gradient check, the twin test and the benchmark run over AllOps: a
/// new operator is one file pair and one name here, and one without examples does not compile.
#pragma once
#include "ops/add.hpp"
#include "ops/avg_pool.hpp"
#include "ops/batch_norm.hpp"
#include "ops/cast.hpp"
#include "ops/channel_shuffle.hpp"
#include "ops/concat.hpp"
#include "ops/conv2d.hpp"
#include "ops/cross_entropy.hpp"
#include "ops/dropout.hpp"
#include "ops/global_avg_pool.hpp"
#include "ops/hard_sigmoid.hpp"
#include "ops/linear.hpp"
#include "ops/max_pool.hpp"
#include "ops/mul.hpp"
#include "ops/norm_relu_conv.hpp"
#include "ops/relu.hpp"
#include "ops/reshape.hpp"
#include "ops/se/channel_conv.hpp"
#include "ops/se/excite.hpp"
#include "ops/se/residual_tail.hpp"
#include "ops/se/scale.hpp"
#include "ops/se/squeeze.hpp"
#include "ops/shake_shake.hpp"
#include "ops/shortcut_pad.hpp"
#include "ops/sigmoid.hpp"
#include "ops/slice_channels.hpp"
#include "ops/tanh.hpp"

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
                      ShortcutPad, Cast, ChannelConv, ShakeShake>;

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
