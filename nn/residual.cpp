#include "nn/residual.hpp"

#include "ops/add.hpp"
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

Var residual_tail(BatchNorm& bn, SqueezeExcite* se, const Var& y, const Var& shortcut, bool relu) {
  const Tape::Scope scope(se ? static_cast<const Module*>(se) : &bn);
  ops::ResidualTail op{.norm = bn.spec(), .relu = relu};
  const Var none;
  if (!se) return apply(op, y, Var(bn.weight), Var(bn.bias), shortcut, none, none, none, none);
  op.squeeze = se->squeeze;
  op.gate = se->gate;
  return apply(op, y, Var(bn.weight), Var(bn.bias), shortcut, Var(se->reduce_weight),
               Var(se->reduce_bias), Var(se->expand_weight), Var(se->expand_bias));
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
  SqueezeExcite* const se = squeezing(attention);
  const bool more = relu || attention || !shortcut.empty();
  if (bn.fused && more && (!attention || se)) return residual_tail(bn, se, y, shortcut, relu);
  return composed_tail(attention, bn(y), shortcut, relu);
}

Var norm_relu(BatchNorm& bn, const Var& x) {
  return bn.fused ? residual_tail(bn, nullptr, x, {}, true) : ops::relu(bn(x));
}

}  // namespace exciton::nn
