#include "nn/residual.hpp"

#include "ops/add.hpp"
#include "ops/norm_relu_conv.hpp"
#include "ops/relu.hpp"
#include "ops/se/residual_tail.hpp"

namespace exciton::nn {

namespace {

Var composed_tail(ChannelAttention* se, Var out, const Var& shortcut, bool relu) {
  if (se) out = (*se)(out);
  if (!shortcut.empty()) out = ops::add(out, shortcut);
  return relu ? ops::relu(out) : out;
}

/// The unit if its gates are a function of a mean or maximum over the map, and nobody watches them.
SqueezeExcite* squeezing(ChannelAttention* attention) {
  auto* const se = dynamic_cast<SqueezeExcite*>(attention);
  return se && se->squeezes && !se->tap ? se : nullptr;
}

/// What the fused operators are given of SE.
struct Excitation {
  ops::ResidualTail op;
  Var w1, b1, w2, b2;

  Excitation(BatchNorm& bn, SqueezeExcite* se, bool relu) : op{.norm = bn.spec(), .relu = relu} {
    if (!se) return;
    op.squeeze = se->squeeze;
    op.gate = se->gate;
    w1 = Var(se->reduce_weight);
    b1 = Var(se->reduce_bias);
    w2 = Var(se->expand_weight);
    b2 = Var(se->expand_bias);
  }
};

const Module* scope_of(const BatchNorm& bn, const SqueezeExcite* se) {
  return se ? static_cast<const Module*>(se) : &bn;
}

bool fuses(const BatchNorm& bn, ChannelAttention* attention) {
  return bn.fused && (!attention || squeezing(attention));
}

/// Nobody will ask for what lies between convolution and norm.
bool folds(const BatchNorm& bn, const Var& x) {
  return bn.fused && !bn.training && !Tape::active() && x.value().dtype() != DType::f64;
}

Var folded(Conv2d& conv, BatchNorm& bn, ChannelAttention* attention, const Var& x,
           const Var& shortcut, bool relu) {
  conv.folded.fold({.weight = conv.weight.value(),
                    .version = conv.weight.version(),
                    .bias = conv.bias.value(),
                    .spec = conv.spec,
                    .gamma = bn.weight.value(),
                    .beta = bn.bias.value(),
                    .running = bn.running,
                    .eps = bn.options.eps});
  if (!attention) return conv.folded(x.value(), nullptr, shortcut.value(), relu);
  auto* const se = squeezing(attention);
  if (!se || se->squeeze != ops::SqueezeKind::avg)
    return composed_tail(attention, conv.folded(x.value(), nullptr, {}, false), shortcut, relu);
  const auto gate = [se](const Tensor& z) { return se->excite(z).value(); };
  return conv.folded(x.value(), gate, shortcut.value(), relu);
}

}  // namespace

Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* attention,
              const Var& shortcut) {
  if (folds(bn, x)) return folded(conv, bn, attention, x, shortcut, relu);
  const Var y = conv(x);
  const bool more = relu || attention || !shortcut.empty();
  return more ? residual_tail(bn, attention, y, shortcut, relu) : bn(y);
}

Var residual_tail(BatchNorm& bn, ChannelAttention* attention, const Var& y, const Var& shortcut,
                  bool relu) {
  if (!fuses(bn, attention)) return composed_tail(attention, bn(y), shortcut, relu);
  SqueezeExcite* const se = squeezing(attention);
  const Tape::Scope scope(scope_of(bn, se));
  const Excitation e(bn, se, relu);
  return apply(e.op, y, Var(bn.weight), Var(bn.bias), shortcut, e.w1, e.b1, e.w2, e.b2);
}

Var norm_relu_conv(BatchNorm& bn, ChannelAttention* attention, const Var& y, Conv2d& conv) {
  if (!fuses(bn, attention) || !conv.bias.empty())
    return conv(residual_tail(bn, attention, y, {}, true));
  SqueezeExcite* const se = squeezing(attention);
  const Tape::Scope scope(&conv);
  const Excitation e(bn, se, true);
  const ops::NormReluConv op{
      .tail = e.op,
      .conv = {.spec = conv.spec, .packed = &conv.packed, .version = conv.weight.version()}};
  return apply(op, y, Var(bn.weight), Var(bn.bias), e.w1, e.b1, e.w2, e.b2, Var(conv.weight));
}

bool forgets_tails(const Module& block) {
  return block.recompute == Recompute::tail && block.training && Tape::active();
}

Var norm_relu(BatchNorm& bn, const Var& x) { return residual_tail(bn, nullptr, x, {}, true); }

}  // namespace exciton::nn
