#include "ops/reshape.hpp"

namespace exciton::ops {

Tensor Reshape::forward(Saved& saved, const Tensor& x) const {
  saved.from = x.shape();
  return x.reshape(to);
}

Grads<1> Reshape::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {dy.reshape(saved.from)};
}

std::vector<Example<Reshape>> Reshape::examples() {
  return {{{{2, 60}}, {{2, 3, 4, 5}}}, {{{1, 1}}, {{1, 1, 1, 1}}}, {{{7, 1, 3}}, {{3, 7}}}};
}

}  // namespace exciton::ops
