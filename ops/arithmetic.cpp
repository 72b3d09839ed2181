#include "ops/arithmetic.hpp"

#include "ops/elementwise.hpp"

namespace exciton::ops {
namespace {

void check_alike(std::string_view name, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), name, ": operands differ: ", a.shape(),
        " ", a.dtype(), " and ", b.shape(), " ", b.dtype());
}

template <class F>
Tensor combine(std::string_view name, const Tensor& a, const Tensor& b, F f) {
  Tensor y(a.shape(), a.dtype());
  dispatch_float(a.dtype(), name, [&](auto tag) { map<decltype(tag)>(a, b, y, f); });
  return y;
}

}  // namespace

Tensor Add::forward(Saved&, const Tensor& a, const Tensor& b) const {
  check_alike(name, a, b);
  return combine(name, a, b, [](auto u, auto v) { return u + v; });
}
Grads<2> Add::backward(Saved&, Tensor dy, Needs<2>) const { return {dy, dy}; }
std::vector<Example<Add>> Add::examples() {
  return {{{}, {{2, 3, 5, 7}, {2, 3, 5, 7}}}, {{}, {{1}, {1}}}};
}

Tensor Mul::forward(Saved& saved, const Tensor& a, const Tensor& b) const {
  check_alike(name, a, b);
  saved = {a, b};
  return combine(name, a, b, [](auto u, auto v) { return u * v; });
}
Grads<2> Mul::backward(Saved& saved, Tensor dy, Needs<2> needs) const {
  const auto product = [](auto u, auto v) { return u * v; };
  Grads<2> grads;
  if (needs[0]) grads[0] = combine(name, dy, saved.b, product);
  if (needs[1]) grads[1] = combine(name, dy, saved.a, product);
  return grads;
}
std::vector<Example<Mul>> Mul::examples() {
  return {{{}, {{2, 3, 5, 7}, {2, 3, 5, 7}}}, {{}, {{1}, {1}}}};
}

}  // namespace exciton::ops
