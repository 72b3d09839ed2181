#include "exciton/ops/global_avg_pool.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

Tensor GlobalAvgPool::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(x.rank() == 4, name, ": x must be [N, H, W, C], got ", x.shape());
  return Squeeze{SqueezeKind::avg}.forward(saved, x);
}

Grads<1> GlobalAvgPool::backward(Saved& saved, Tensor dy, Needs<1> needs) const {
  check_gradient(name, dy, saved.z);
  return Squeeze{SqueezeKind::avg}.backward(saved, std::move(dy), needs);
}

std::vector<Example<GlobalAvgPool>> GlobalAvgPool::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7, 5, 33}}}};
}

}  // namespace exciton::ops
