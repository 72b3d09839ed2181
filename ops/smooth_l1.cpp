#include "exciton/ops/smooth_l1.hpp"

#include <cmath>

#include "exciton/core/example.hpp"
#include "exciton/ops/elementwise.hpp"
#include "exciton/ops/leaves.hpp"

namespace exciton::ops {

Tensor SmoothL1::forward(Saved& saved, const Tensor& x) const {
  check_input(name, "x", x);
  check(!targets.empty() && targets.shape() == x.shape() && is_floating(targets.dtype()), name,
        ": x ", Form::of(x), " expects floating targets of its shape, got ", Form::of(targets));
  check(beta > 0 && divisor > 0, name, ": beta and divisor must be above 0, got ", beta, " and ",
        divisor);
  const DType type = acc_type(x.dtype());
  saved = {map(
               name, [](auto a, auto b) { return a - b; }, x.to(type), targets.to(type)),
           x.dtype()};
  return dispatch_float(type, name, [&](auto tag) {
    using A = Acc<decltype(tag)>;
    const A* const d = saved.difference.data<A>();
    const double limit = beta;
    double total[Leaves::most];
    sum_over_images(Leaves(x.numel()), 1, total, [&](std::int64_t i, double* sum) {
      const double size = std::abs(static_cast<double>(d[i]));
      *sum += size < limit ? size * size / (2 * limit) : size - limit / 2;
    });
    return Tensor::full({1}, total[0] / divisor, type);
  });
}

Grads<1> SmoothL1::backward(Saved& saved, Tensor dloss, Needs<1>) const {
  check_input(name, "the saved state", saved.difference);
  check_gradient(name, dloss, {{1}, saved.difference.dtype()});
  const double each = dloss.item() / divisor, limit = beta;
  const Tensor dx = map(
      name,
      [each, limit](auto d) {
        using A = decltype(d);
        const A sign = d > 0 ? A{1} : d < 0 ? A{-1} : d;  // NaN stays
        const A slope = std::abs(d) < static_cast<A>(limit) ? d / static_cast<A>(limit) : sign;
        return static_cast<A>(each) * slope;
      },
      saved.difference);
  return {dx.to(saved.dtype)};
}

std::vector<Example<SmoothL1>> SmoothL1::examples() {
  Generator rng(11);
  const auto of = [&](const Shape& shape, double limit, double by) {
    return Example<SmoothL1>{{Tensor::randn(shape, rng, DType::f64), limit, by}, {shape}};
  };
  return {of({5, 4}, 1.0 / 9, 7), of({3, 2, 17}, 1, 1), of({1}, 0.5, 3), of({257, 4}, 2, 1028)};
}

}  // namespace exciton::ops
