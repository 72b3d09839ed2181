#include "exciton/ops/mul.hpp"

#include "exciton/core/example.hpp"
#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {
namespace {

constexpr auto product = [](auto u, auto v) { return u * v; };

}  // namespace

Tensor Mul::forward(Saved& saved, const Tensor& a, const Tensor& b) const {
  check_alike(name, a, b);
  saved = {a, b};
  return map(name, product, a, b);
}

Grads<2> Mul::backward(Saved& saved, Tensor dy, Needs<2> needs) const {
  check_gradient(name, dy, Form::of(saved.a));
  Grads<2> grads;
  if (needs[1]) grads[1] = map(name, product, dy, saved.a);
  if (needs[0]) grads[0] = map_gradient(name, product, dy, saved.b);  // last: writes over dy
  return grads;
}

std::vector<Example<Mul>> Mul::examples() {
  return {{{}, {{2, 3, 4, 5}, {2, 3, 4, 5}}},
          {{}, {{1, 1, 1, 1}, {1, 1, 1, 1}}},
          {{}, {{3, 33}, {3, 33}}}};
}

}  // namespace exciton::ops
