#include "exciton/ops/sigmoid.hpp"

#include <cmath>

#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

Tensor Sigmoid::forward(Saved& saved, const Tensor& x) const {
  const auto f = [](auto v) { return 1 / (1 + std::exp(-v)); };
  saved.y = map(name, f, x);
  return saved.y;
}

Grads<1> Sigmoid::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const auto slope = [](auto d, auto y) { return d * y * (1 - y); };
  return {map_gradient(name, slope, dy, saved.y)};
}

std::vector<Example<Sigmoid>> Sigmoid::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace exciton::ops
