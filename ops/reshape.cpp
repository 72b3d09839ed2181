#include "exciton/ops/reshape.hpp"

#include "exciton/core/example.hpp"

namespace exciton::ops {

Tensor Reshape::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  saved.x = Form::of(x);
  return x.reshape(to);
}

Grads<1> Reshape::backward(Saved& saved, Tensor dy, Needs<1>) const {
  check_gradient(name, dy, {to, saved.x.dtype});
  return {dy.reshape(saved.x.shape)};
}

std::vector<Example<Reshape>> Reshape::examples() {
  return {{{{2, 60}}, {{2, 3, 4, 5}}}, {{{1, 1}}, {{1, 1, 1, 1}}}, {{{7, 1, 3}}, {{3, 7}}}};
}

}  // namespace exciton::ops
