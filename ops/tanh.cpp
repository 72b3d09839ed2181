#include "exciton/ops/tanh.hpp"

#include <cmath>

#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

Tensor Tanh::forward(Saved& saved, const Tensor& x) const {
  const auto f = [](auto v) { return std::tanh(v); };
  saved.y = map(name, f, x);
  return saved.y;
}

Grads<1> Tanh::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const auto slope = [](auto d, auto y) { return d * (1 - y * y); };
  return {map_gradient(name, slope, dy, saved.y)};
}

std::vector<Example<Tanh>> Tanh::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace exciton::ops
