#include "exciton/optim/adamw.hpp"

#include <cmath>
#include <utility>

#include "exciton/optim/elements.hpp"

namespace exciton::optim {
namespace {

/// One parameter of a step, with everything that is the same for all its elements.
template <class T>
struct Update {
  T* p;
  const T* g;
  T *m, *v;
  T shrink;  // 1 - lr wd
  T rate;    // lr / (1 - beta1^t)
  T scale;   // 1 / sqrt(1 - beta2^t)
};

/// The rests are 1 - beta, taken in double: 1 - 0.999 has lost five digits in float.
template <class T>
struct Constants {
  T beta1, rest1, beta2, rest2, eps;
};

template <class T>
void update_range(const Update<T>& u, const Constants<T>& k, std::int64_t begin, std::int64_t end) {
  T* __restrict p = u.p;
  T* __restrict m = u.m;
  T* __restrict v = u.v;
  const T* __restrict g = u.g;
  const T beta1 = k.beta1, rest1 = k.rest1, beta2 = k.beta2, rest2 = k.rest2;
  const T shrink = u.shrink, rate = u.rate, scale = u.scale, eps = k.eps;
  for (std::int64_t i = begin; i < end; ++i) {
    m[i] = beta1 * m[i] + rest1 * g[i];
    v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
    p[i] = p[i] * shrink - rate * m[i] / (std::sqrt(v[i]) * scale + eps);
  }
}

}  // namespace

AdamW::AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options)
    : Optimizer(std::move(parameters)), options_(options) {
  const auto in_range = [](double beta) { return beta >= 0 && beta < 1; };
  check(in_range(options.beta1) && in_range(options.beta2),
        "adamw: beta1 and beta2 must be in [0, 1), got ", options.beta1, " and ", options.beta2);
  check(options.eps > 0 && std::isfinite(options.eps), "adamw: eps must be above 0, got ",
        options.eps, "; try 1e-8");
  check(options.lr >= 0 && std::isfinite(options.lr),
        "adamw: the learning rate must not be negative or infinite, got ", options.lr);
  check(options.weight_decay >= 0 && std::isfinite(options.weight_decay),
        "adamw: weight_decay must not be negative or infinite, got ", options.weight_decay);
  for (const auto& [name, p] : parameters_) {
    mean_.push_back(Tensor::zeros(p->shape(), p->value().dtype()));
    square_.push_back(Tensor::zeros(p->shape(), p->value().dtype()));
  }
  steps_ = Tensor::zeros({static_cast<std::int64_t>(parameters_.size())}, DType::i64);
}

void AdamW::step(double lr) {
  check(lr >= 0 && std::isfinite(lr),
        "adamw: the learning rate must not be negative or infinite, got ", lr);
  apply<float>(lr);
  apply<double>(lr);
  clear_gradients();
}

template <class T>
void AdamW::apply(double lr) {
  std::vector<Update<T>> updates;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!moves(i, dtype_of<T>, "adamw")) continue;
    Parameter& p = *parameters_[i].parameter;
    const auto t = static_cast<double>(++steps_.data<std::int64_t>()[i]);
    const double decay = decay_of(i, options_.weight_decay, !options_.decay_norm_and_bias);
    const double own_lr = lr_of(i, lr);
    updates.push_back({p.mutable_value().template data<T>(),
                       std::as_const(p.grad).template data<T>(),
                       optimizer_state<T>(mean_[i], parameters_[i], "adamw: mean"),
                       optimizer_state<T>(square_[i], parameters_[i], "adamw: square"),
                       static_cast<T>(1 - own_lr * decay),
                       static_cast<T>(own_lr / (1 - std::pow(options_.beta1, t))),
                       static_cast<T>(1 / std::sqrt(1 - std::pow(options_.beta2, t)))});
    sizes.push_back(p.numel());
  }
  const Constants<T> constants{static_cast<T>(options_.beta1), static_cast<T>(1 - options_.beta1),
                               static_cast<T>(options_.beta2), static_cast<T>(1 - options_.beta2),
                               static_cast<T>(options_.eps)};
  for_all_elements(sizes, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    update_range(updates[i], constants, begin, end);
  });
}

std::vector<NamedTensor> AdamW::state() {
  std::vector<NamedTensor> found;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    found.push_back({"mean." + parameters_[i].name, &mean_[i]});
    found.push_back({"square." + parameters_[i].name, &square_[i]});
  }
  found.push_back({"steps", &steps_});
  return found;
}

}  // namespace exciton::optim
