#include "exciton/ops/add.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

Tensor Add::forward(Saved& saved, const Tensor& a, const Tensor& b) const {
  check_alike(name, a, b);
  saved.form = Form::of(a);
  const auto sum = [](auto u, auto v) { return u + v; };
  return map(name, sum, a, b);
}

Grads<2> Add::backward(Saved& saved, Tensor dy, Needs<2> needs) const {
  check_gradient(name, dy, saved.form);
  return {needs[0] ? dy : Tensor(), needs[1] ? dy : Tensor()};
}

std::vector<Example<Add>> Add::examples() {
  return {{{}, {{2, 3, 4, 5}, {2, 3, 4, 5}}},
          {{}, {{1, 1, 1, 1}, {1, 1, 1, 1}}},
          {{}, {{3, 33}, {3, 33}}}};
}

}  // namespace exciton::ops
