#include "exciton/optim/muon.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "exciton/ops/matrix_product.hpp"
#include "exciton/optim/elements.hpp"

namespace exciton::optim {
namespace {

/// out[i] = f(i) for all elements, on all threads.
template <class F>
void for_elements(std::int64_t n, F&& f) {
  parallel_for(n, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(i);
  });
}

template <class T>
double norm_of(const T* values, std::int64_t n) {
  return std::sqrt(sum_of_squares(std::span<const T>(values, static_cast<std::size_t>(n))));
}

}  // namespace

template <class T>
void orthogonalize(T* x, std::int64_t rows, std::int64_t columns, std::int64_t steps) {
  constexpr T a = T(3.4445), b = T(-4.7750), c = T(2.0315);
  const std::int64_t n = rows * columns, side = std::min(rows, columns);
  const bool tall = rows > columns;
  const T factor = static_cast<T>(1 / (norm_of(x, n) + 1e-7));
  for_elements(n, [&](std::int64_t i) { x[i] *= factor; });
  Tensor gram({side, side}, dtype_of<T>), polynomial({side, side}, dtype_of<T>);
  Tensor product({rows, columns}, dtype_of<T>);
  T* const g = gram.template data<T>();
  T* const p = polynomial.template data<T>();
  T* const y = product.template data<T>();
  for (std::int64_t step = 0; step < steps; ++step) {
    const ops::Matrix<T> as_it_is{x, columns}, turned{x, columns, true};
    if (tall)
      ops::multiply<T>(turned, as_it_is, g, side, side, rows);
    else
      ops::multiply<T>(as_it_is, turned, g, side, side, columns);
    ops::multiply<T>({g, side}, {g, side}, p, side, side, side);
    for_elements(side * side, [&](std::int64_t i) { p[i] = b * g[i] + c * p[i]; });
    if (tall)
      ops::multiply<T>(as_it_is, {p, side}, y, rows, columns, side);
    else
      ops::multiply<T>({p, side}, as_it_is, y, rows, columns, side);
    for_elements(n, [&](std::int64_t i) { x[i] = a * x[i] + y[i]; });
  }
}
template void orthogonalize<float>(float*, std::int64_t, std::int64_t, std::int64_t);
template void orthogonalize<double>(double*, std::int64_t, std::int64_t, std::int64_t);

Muon::Muon(std::vector<NamedParameter> parameters, const MuonOptions& options)
    : Optimizer(std::move(parameters)), options_(options) {
  check(options.momentum >= 0 && options.momentum < 1, "muon: momentum must be in [0, 1), got ",
        options.momentum);
  check(options.lr >= 0 && std::isfinite(options.lr),
        "muon: the learning rate must not be negative or infinite, got ", options.lr);
  check(options.weight_decay >= 0 && std::isfinite(options.weight_decay),
        "muon: weight_decay must not be negative or infinite, got ", options.weight_decay);
  check(options.steps >= 1 && options.steps <= 100, "muon: steps must be 1 to 100, got ",
        options.steps);
  check(!options.nesterov || options.momentum > 0,
        "muon: nesterov needs momentum above 0; try momentum = 0.95");
  for (const auto& [name, p] : parameters_) {
    const bool matrix = p->shape().rank() >= 2;
    check(matrix || !p->trainable, "muon: ", name, " is ", p->shape(),
          ", and only matrices and filters can be made orthogonal; give it to sgd in a group of "
          "parameter_groups: {\"names\": \"*.bias\", \"optimizer\": \"sgd\"}");
    momentum_.push_back(matrix ? Tensor::zeros(p->shape(), p->value().dtype()) : Tensor());
  }
}

void Muon::step(double lr) {
  check(lr >= 0 && std::isfinite(lr),
        "muon: the learning rate must not be negative or infinite, got ", lr);
  apply<float>(lr);
  apply<double>(lr);
  clear_gradients();
}

template <class T>
void Muon::apply(double lr) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (momentum_[i].empty() || !moves(i, dtype_of<T>, "muon")) continue;
    Parameter& parameter = *parameters_[i].parameter;
    const std::int64_t n = parameter.numel(), rows = parameter.shape()[0];
    if (n == 0) continue;
    T* const p = parameter.mutable_value().template data<T>();
    T* const buffer = optimizer_state<T>(momentum_[i], parameters_[i], "muon: momentum");
    const T* const g = std::as_const(parameter.grad).template data<T>();
    const T momentum = static_cast<T>(options_.momentum), rate = static_cast<T>(lr_of(i, lr));
    Tensor direction(parameter.shape(), dtype_of<T>);
    T* const d = direction.template data<T>();
    for_elements(n, [&](std::int64_t k) {
      buffer[k] = momentum * buffer[k] + g[k];
      d[k] = options_.nesterov ? g[k] + momentum * buffer[k] : buffer[k];
    });
    orthogonalize(d, rows, n / rows, options_.steps);
    double shrink = 1 - lr_of(i, lr) * decay_of(i, options_.weight_decay, false);
    if (options_.normalize) {
      const double norm = norm_of(p, n);
      shrink = norm > 0 ? std::sqrt(static_cast<double>(rows)) / norm : 1;
    }
    const T factor = static_cast<T>(shrink);
    for_elements(n, [&](std::int64_t k) { p[k] = factor * p[k] - rate * d[k]; });
  }
}

std::vector<NamedTensor> Muon::state() {
  std::vector<NamedTensor> found;
  for (std::size_t i = 0; i < momentum_.size(); ++i)
    if (!momentum_[i].empty()) found.push_back({"momentum." + parameters_[i].name, &momentum_[i]});
  return found;
}

}  // namespace exciton::optim
