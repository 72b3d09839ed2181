#include "ops/tanh.hpp"

#include <cmath>

#include "ops/elementwise.hpp"

namespace exciton::ops {

Tensor Tanh::forward(Saved& saved, const Tensor& x) const {
  saved.y = map(
      name, [](auto v) { return std::tanh(v); }, x);
  return saved.y;
}

Grads<1> Tanh::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {map_gradient(
      name, [](auto d, auto y) { return d * (1 - y * y); }, dy, saved.y)};
}

std::vector<Example<Tanh>> Tanh::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace exciton::ops
