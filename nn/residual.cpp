#include "nn/residual.hpp"

#include "ops/add.hpp"
#include "ops/relu.hpp"

namespace exciton::nn {

Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu) {
  const Var y = bn(conv(x));
  return relu ? ops::relu(y) : y;
}

Var residual_tail(BatchNorm& bn, SqueezeExcite* se, const Var& y, const Var& shortcut, bool relu) {
  Var out = bn(y);
  if (se) out = (*se)(out);
  if (!shortcut.empty()) out = ops::add(out, shortcut);
  return relu ? ops::relu(out) : out;
}

}  // namespace exciton::nn
