#include "exciton/nn/residual.hpp"

#include "exciton/ops/add.hpp"
#include "exciton/ops/norm_relu_conv.hpp"
#include "exciton/ops/relu.hpp"
#include "exciton/ops/se/residual_tail.hpp"

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

/// Nobody will ask for a gradient, nor for what lies between convolution and norm.
bool folds(const Conv2d& conv, const BatchNorm& bn, const Var& x, const Var& shortcut) {
  const bool recorded = Tape::active() && (x.id() >= 0 || shortcut.id() >= 0 ||
                                           conv.weight.trainable || bn.weight.trainable);
  return bn.fused && !bn.training && !recorded && x.value().dtype() != DType::f64;
}

/// The folded convolution as an operator, so that a tape which only describes sees it.
struct FoldedConv2d {
  static constexpr std::string_view name = "folded_conv2d";
  Conv2d* conv;
  ops::FoldedConv::Gate gate;
  bool relu;
  struct Saved {};
  Tensor forward(Saved&, const Tensor& x, const Tensor& shortcut) const {
    return conv->folded(x, gate, shortcut, relu);
  }
  Grads<2> backward(Saved&, Tensor, Needs<2>) const {
    fail(name, ": is for evaluation, and has no gradient");
  }
  std::int64_t multiply_adds(const Tensor& y, const Tensor&, const Tensor&) const {
    return y.numel() * conv->weight.numel() / conv->weight.shape()[0];
  }
};

Var folded(Conv2d& conv, BatchNorm& bn, ChannelAttention* attention, const Var& x,
           const Var& shortcut, bool relu) {
  auto* const se = squeezing(attention);
  const bool averages = se && se->squeeze == ops::SqueezeKind::avg;
  const Tensor none;
  conv.folded.fold({.weight = conv.weight.value(),
                    .version = conv.weight.version(),
                    .bias = conv.bias.value(),
                    .spec = conv.spec,
                    .gamma = bn.weight.value(),
                    .beta = bn.bias.value(),
                    .running = bn.running,
                    .eps = bn.options.eps,
                    .reduce = averages ? se->reduce_weight.value() : none,
                    .reduce_version = averages ? se->reduce_weight.version() : 0,
                    .reduce_bias = averages ? se->reduce_bias.value() : none});
  const Tape::Scope scope(&conv);
  if (!attention) return apply(FoldedConv2d{&conv, nullptr, relu}, x, shortcut);
  if (!averages) {
    const Var y = apply(FoldedConv2d{&conv, nullptr, false}, x, Var());
    return composed_tail(attention, y, shortcut, relu);
  }
  const auto gate = [se](const Tensor& z, const Tensor& w1, const Tensor& b1) {
    return ops::excite(z, w1, b1, se->expand_weight, se->expand_bias, se->gate).value();
  };
  return apply(FoldedConv2d{&conv, gate, relu}, x, shortcut);
}

}  // namespace

Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* attention,
              const Var& shortcut) {
  if (folds(conv, bn, x, shortcut)) return folded(conv, bn, attention, x, shortcut, relu);
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
  const ops::NormReluConv op{.tail = e.op,
                             .conv = {.spec = conv.spec,
                                      .packed = conv.packed.state(),
                                      .version = conv.weight.version(),
                                      .keep_packed = !conv.training}};
  return apply(op, y, Var(bn.weight), Var(bn.bias), e.w1, e.b1, e.w2, e.b2, Var(conv.weight));
}

bool forgets_tails(const Module& block) {
  return block.recompute == Recompute::tail && block.training && Tape::active();
}

Var norm_relu(BatchNorm& bn, const Var& x) { return residual_tail(bn, nullptr, x, {}, true); }

}  // namespace exciton::nn
