#include "nn/residual.hpp"

#include "ops/add.hpp"
#include "ops/relu.hpp"
#include "ops/se/residual_tail.hpp"

namespace exciton::nn {

Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* se) {
  const Var y = conv(x);
  return relu || se ? residual_tail(bn, se, y, {}, relu) : bn(y);
}

Var residual_tail(BatchNorm& bn, ChannelAttention* attention, const Var& y, const Var& shortcut,
                  bool relu) {
  auto* const se = dynamic_cast<SqueezeExcite*>(attention);
  const bool fuses = !attention || (se && se->squeezes && !se->tap);
  if (bn.fused && fuses) {
    const Tape::Scope scope(se ? static_cast<const Module*>(se) : &bn);
    ops::ResidualTail op{.norm = bn.spec(), .relu = relu};
    const Var none;
    if (!se) return apply(op, y, Var(bn.weight), Var(bn.bias), shortcut, none, none, none, none);
    op.squeeze = se->squeeze;
    op.gate = se->gate;
    return apply(op, y, Var(bn.weight), Var(bn.bias), shortcut, Var(se->reduce_weight),
                 Var(se->reduce_bias), Var(se->expand_weight), Var(se->expand_bias));
  }
  Var out = bn(y);
  if (attention) out = (*attention)(out);
  if (!shortcut.empty()) out = ops::add(out, shortcut);
  return relu ? ops::relu(out) : out;
}

Var norm_relu(BatchNorm& bn, const Var& x) { return residual_tail(bn, nullptr, x, {}, true); }

}  // namespace exciton::nn
