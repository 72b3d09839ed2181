#include "ops/cast.hpp"

namespace exciton::ops {

Tensor Cast::forward(Saved& saved, const Tensor& x) const {
  check(is_floating(x.dtype()) && is_floating(to), name, ": wants floating types, got ", x.dtype(),
        " to ", to);
  saved.from = x.dtype();
  return x.to(to);
}

Grads<1> Cast::backward(Saved& saved, Tensor dy, Needs<1>) const { return {dy.to(saved.from)}; }

std::vector<Example<Cast>> Cast::examples() {
  // To f64 only: a rounding cast has no slope that a central difference could see.
  return {
      {{DType::f64}, {{2, 3, 4, 5}}}, {{DType::f64}, {{1, 1, 1, 1}}}, {{DType::f64}, {{3, 33}}}};
}

}  // namespace exciton::ops
