#include "exciton/ops/relu.hpp"

#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

Tensor Relu::forward(Saved& saved, const Tensor& x) const {
  const auto f = [](auto v) { return v < 0 ? decltype(v){0} : v; };
  saved.y = map(name, f, x);
  return saved.y;
}

Grads<1> Relu::backward(Saved& saved, Tensor dy, Needs<1>) const {
  const auto slope = [](auto d, auto y) { return y <= 0 ? decltype(y){0} : d; };
  return {map_gradient(name, slope, dy, saved.y)};
}

std::vector<Example<Relu>> Relu::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace exciton::ops
