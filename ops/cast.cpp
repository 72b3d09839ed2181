#include "exciton/ops/cast.hpp"

#include "exciton/core/example.hpp"

namespace exciton::ops {

Tensor Cast::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(is_floating(to), name, ": expected to go to f32, bf16 or f64, got ", to);
  saved.x = Form::of(x);
  return x.to(to);
}

Grads<1> Cast::backward(Saved& saved, Tensor dy, Needs<1>) const {
  check_gradient(name, dy, {saved.x.shape, to});
  return {dy.to(saved.x.dtype)};
}

std::vector<Example<Cast>> Cast::examples() {
  // To f64 only: a rounding cast has no slope that a central difference could see.
  return {
      {{DType::f64}, {{2, 3, 4, 5}}}, {{DType::f64}, {{1, 1, 1, 1}}}, {{DType::f64}, {{3, 33}}}};
}

}  // namespace exciton::ops
