#include "exciton/core/gradcheck.hpp"

#include <algorithm>

#include "exciton/core/tape.hpp"

namespace exciton {
namespace detail {

GradcheckResult compare_gradients(std::string_view name, const std::vector<Tensor>& x,
                                  const std::vector<Tensor>& analytic,
                                  double (*loss)(const void*, const std::vector<Tensor>&),
                                  const void* context, const GradcheckOptions& options) {
  check(analytic.size() == x.size(), name, ": backward gave ", analytic.size(), " gradients for ",
        x.size(), " inputs");
  GradcheckResult result;
  Generator rng(options.seed, 78);
  const auto judge = [&](double a, double n, const std::string& where) {
    const double error = std::abs(a - n) / std::max({1.0, std::abs(a), std::abs(n)});
    if (!(error <= options.tolerance)) result.ok = false;
    if (!(error <= result.worst)) {  // also takes NaN
      result.worst = error;
      std::ostringstream out;
      out.precision(12);
      out << name << ": " << where << ": analytic " << a << ", numeric " << n;
      result.message = out.str();
    }
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i].empty()) continue;
    std::ostringstream input;
    input << "input " << i << ' ' << x[i].shape();
    if (analytic[i].empty() || analytic[i].shape() != x[i].shape()) {
      result.ok = false;
      result.worst = INFINITY;
      std::ostringstream out;
      out << name << ": " << input.str() << ": backward gave " << analytic[i];
      result.message = out.str();
      return result;
    }
    std::vector<Tensor> at = x;
    const auto slope = [&](const Tensor& direction) {
      Tensor up = x[i].clone(), down = x[i].clone();
      for (std::int64_t k = 0; k < up.numel(); ++k) {
        up.set(k, up.at(k) + options.eps * direction.at(k));
        down.set(k, down.at(k) - options.eps * direction.at(k));
      }
      at[i] = up;
      const double high = loss(context, at);
      at[i] = down;
      const double low = loss(context, at);
      return (high - low) / (2 * options.eps);
    };
    const std::int64_t n = x[i].numel();
    for (std::int64_t probe = 0; probe < std::min<std::int64_t>(n, options.elements); ++probe) {
      const std::int64_t k =
          n <= options.elements
              ? probe
              : static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(n)));
      Tensor one = Tensor::zeros(x[i].shape(), DType::f64);
      one.set(k, 1);
      judge(analytic[i].at(k), slope(one), input.str() + " element " + std::to_string(k));
    }
    Tensor direction = Tensor::randn(x[i].shape(), rng, DType::f64);
    const double length = std::sqrt(std::max(1e-300, dot(direction, direction)));
    for (std::int64_t k = 0; k < n; ++k) direction.set(k, direction.at(k) / length);
    judge(dot(analytic[i], direction), slope(direction), input.str() + " random direction");
  }
  return result;
}

}  // namespace detail

GradcheckResult gradcheck(std::string_view name,
                          const std::function<Var(std::span<const Var>)>& function,
                          std::vector<Tensor> inputs, const GradcheckOptions& options) {
  for (Tensor& x : inputs) {
    check(!x.empty() && is_floating(x.dtype()), name, ": expected floating inputs, got ", x);
    x = x.to(DType::f64);
  }
  Generator rng(options.seed, 77);
  Tensor dy;
  std::vector<Tensor> analytic;
  {
    Tape tape;
    std::vector<Var> x;
    for (const Tensor& input : inputs) x.push_back(tape.watch(input));
    const Var y = function(x);
    check(y.value().dtype() == DType::f64, name, ": gave ", y.value().dtype(),
          " for f64 inputs, and the check is in f64");
    dy = Tensor::randn(y.shape(), rng, DType::f64);
    tape.backward(y, dy.clone());
    for (const Var& v : x) analytic.push_back(tape.gradient(v));
  }
  struct Context {
    const std::function<Var(std::span<const Var>)>& function;
    const Tensor& dy;
  } context{function, dy};
  return detail::compare_gradients(
      name, inputs, analytic,
      [](const void* c, const std::vector<Tensor>& at) {
        const auto& k = *static_cast<const Context*>(c);
        const std::vector<Var> x(at.begin(), at.end());
        return dot(k.function(x).value(), k.dy);
      },
      &context, options);
}

}  // namespace exciton
