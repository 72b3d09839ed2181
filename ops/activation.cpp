#include "ops/activation.hpp"

#include <algorithm>
#include <cmath>

#include "ops/elementwise.hpp"

namespace exciton::ops {
namespace {

template <class F>
Tensor activate(std::string_view name, Tensor& saved_y, const Tensor& x, F f) {
  Tensor y(x.shape(), x.dtype());
  dispatch_float(x.dtype(), name, [&](auto tag) { map<decltype(tag)>(x, y, f); });
  saved_y = y;
  return y;
}

template <class F>
Grads<1> deactivate(std::string_view name, const Tensor& y, Tensor dy, F f) {
  return dispatch_float(dy.dtype(), name, [&](auto tag) -> Grads<1> {
    if (dy.shared()) dy = dy.clone();
    map<decltype(tag)>(dy, y, dy, f);
    return {std::move(dy)};
  });
}

}  // namespace

Tensor Relu::forward(Saved& saved, const Tensor& x) const {
  return activate(name, saved.y, x, [](auto v) { return std::max(v, decltype(v){0}); });
}
Grads<1> Relu::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return deactivate(name, saved.y, std::move(dy),
                    [](auto d, auto y) { return y > 0 ? d : decltype(d){0}; });
}
std::vector<Example<Relu>> Relu::examples() {
  return {{{}, {{2, 3, 5, 7}}}, {{}, {{1}}}, {{}, {{33, 3}}}};
}

Tensor Sigmoid::forward(Saved& saved, const Tensor& x) const {
  return activate(name, saved.y, x, [](auto v) { return 1 / (1 + std::exp(-v)); });
}
Grads<1> Sigmoid::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return deactivate(name, saved.y, std::move(dy), [](auto d, auto y) { return d * y * (1 - y); });
}
std::vector<Example<Sigmoid>> Sigmoid::examples() {
  return {{{}, {{2, 3, 5, 7}}}, {{}, {{1}}}, {{}, {{33, 3}}}};
}

Tensor Tanh::forward(Saved& saved, const Tensor& x) const {
  return activate(name, saved.y, x, [](auto v) { return std::tanh(v); });
}
Grads<1> Tanh::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return deactivate(name, saved.y, std::move(dy), [](auto d, auto y) { return d * (1 - y * y); });
}
std::vector<Example<Tanh>> Tanh::examples() {
  return {{{}, {{2, 3, 5, 7}}}, {{}, {{1}}}, {{}, {{33, 3}}}};
}

Tensor HardSigmoid::forward(Saved& saved, const Tensor& x) const {
  return activate(name, saved.y, x, [](auto v) {
    return std::clamp(v / 6 + decltype(v){0.5}, decltype(v){0}, decltype(v){1});
  });
}
Grads<1> HardSigmoid::backward(Saved& saved, Tensor dy, Needs<1>) const {
  return deactivate(name, saved.y, std::move(dy),
                    [](auto d, auto y) { return y > 0 && y < 1 ? d / 6 : decltype(d){0}; });
}
std::vector<Example<HardSigmoid>> HardSigmoid::examples() {
  return {{{}, {{2, 3, 5, 7}}}, {{}, {{1}}}, {{}, {{33, 3}}}};
}

}  // namespace exciton::ops
