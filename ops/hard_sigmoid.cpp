#include "exciton/ops/hard_sigmoid.hpp"

#include <algorithm>

#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

Tensor HardSigmoid::forward(Saved& saved, const Tensor& x) const {
  const auto f = [](auto v) { return std::clamp(v + 3, decltype(v){0}, decltype(v){6}) / 6; };
  saved.y = map(name, f, x);
  return saved.y;
}

Grads<1> HardSigmoid::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return {map_gradient(
      name, [](auto d, auto y) { return y <= 0 || y >= 1 ? decltype(d){0} : d / 6; }, dy, saved.y)};
}

std::vector<Example<HardSigmoid>> HardSigmoid::examples() {
  return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
}

}  // namespace exciton::ops
