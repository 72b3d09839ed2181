#include "exciton/ops/binary_cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "exciton/core/example.hpp"
#include "exciton/ops/elementwise.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::ops {
namespace {

/// log(1 + exp(z)), without overflow; NaN stays.
double softplus(double z) { return (z > 0 ? z : 0) + std::log1p(std::exp(-std::abs(z))); }

}  // namespace

Tensor BinaryCrossEntropy::forward(Saved& saved, const Tensor& logits) const {
  check_input(name, "logits", logits);
  check(!targets.empty() && targets.shape() == logits.shape() && is_floating(targets.dtype()), name,
        ": logits ", Form::of(logits), " expect floating targets of their shape, got ",
        Form::of(targets));
  check(divisor > 0, name, ": divisor must be above 0, got ", divisor);
  const DType type = acc_type(logits.dtype());
  saved = {logits.to(type), logits.dtype()};
  const Tensor wanted = targets.to(DType::f64);
  const double* const t = wanted.data<double>();
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    check(t[i] >= 0 && t[i] <= 1, name, ": target ", i, " is ", t[i], ", expected 0 to 1");
  return dispatch_float(type, name, [&](auto tag) {
    const auto* const z = saved.z.data<Acc<decltype(tag)>>();
    double total[Leaves::most];
    sum_over_images(Leaves(logits.numel()), 1, total, [&](std::int64_t i, double* sum) {
      // What counts nothing is left out: it may be infinite.
      if (t[i] > 0) *sum += t[i] * softplus(-static_cast<double>(z[i]));
      if (t[i] < 1) *sum += (1 - t[i]) * softplus(static_cast<double>(z[i]));
    });
    return Tensor::full({1}, total[0] / divisor, type);
  });
}

Grads<1> BinaryCrossEntropy::backward(Saved& saved, Tensor dloss, Needs<1>) const {
  check_input(name, "the saved state", saved.z);
  check_gradient(name, dloss, {{1}, saved.z.dtype()});
  const double each = dloss.item() / divisor;
  const Tensor dz = map(
      name,
      [each](auto z, auto t) {
        using A = decltype(z);
        return static_cast<A>(each) * (1 / (1 + std::exp(-z)) - t);
      },
      saved.z, targets.to(saved.z.dtype()));
  return {dz.to(saved.dtype)};
}

std::vector<Example<BinaryCrossEntropy>> BinaryCrossEntropy::examples() {
  const auto of = [](std::vector<double> wanted, double by, const Shape& shape) {
    return Example<BinaryCrossEntropy>{{Tensor::from(shape, wanted, DType::f64), by}, {shape}};
  };
  return {of({1, 0, 0, 1, 0.3}, 5, {5, 1}), of({0}, 1, {1}), of({1, 1, 0}, 4, {3})};
}

}  // namespace exciton::ops
