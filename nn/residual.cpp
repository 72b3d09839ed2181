#include "nn/residual.hpp"

#include "ops/add.hpp"
#include "ops/relu.hpp"
#include "ops/se/residual_tail.hpp"

namespace exciton::nn {

Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu) {
  const Var y = conv(x);
  if (bn.fused && relu) return residual_tail(bn, nullptr, y, {}, relu);
  const Var out = bn(y);
  return relu ? ops::relu(out) : out;
}

Var residual_tail(BatchNorm& bn, SqueezeExcite* se, const Var& y, const Var& shortcut, bool relu) {
  if (bn.fused) {
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
  if (se) out = (*se)(out);
  if (!shortcut.empty()) out = ops::add(out, shortcut);
  return relu ? ops::relu(out) : out;
}

}  // namespace exciton::nn
