#include "exciton/optim/sgd.hpp"

#include <cmath>
#include <utility>

#include "exciton/optim/elements.hpp"

namespace exciton::optim {
namespace {

/// One parameter of a step, with the options already resolved for it.
template <class T>
struct Update {
  T* p;
  const T* g;
  T* b;  // nullptr without momentum
  T lr, decay, shrink;
};

template <class T>
void update_range(const Update<T>& u, T momentum, bool nesterov, std::int64_t begin,
                  std::int64_t end) {
  T* __restrict p = u.p;
  T* __restrict b = u.b;
  const T* __restrict g = u.g;
  const T lr = u.lr, decay = u.decay, shrink = u.shrink;
  if (!b) {
    for (std::int64_t i = begin; i < end; ++i) p[i] = p[i] * shrink - lr * (g[i] + decay * p[i]);
  } else if (nesterov) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T d = g[i] + decay * p[i];
      b[i] = momentum * b[i] + d;
      p[i] = p[i] * shrink - lr * (d + momentum * b[i]);
    }
  } else {
    for (std::int64_t i = begin; i < end; ++i) {
      b[i] = momentum * b[i] + (g[i] + decay * p[i]);
      p[i] = p[i] * shrink - lr * b[i];
    }
  }
}

}  // namespace

Sgd::Sgd(std::vector<NamedParameter> parameters, const SgdOptions& options)
    : Optimizer(std::move(parameters)), options_(options) {
  check(options.momentum >= 0 && options.momentum < 1, "sgd: momentum must be in [0, 1), got ",
        options.momentum);
  check(options.lr >= 0 && std::isfinite(options.lr),
        "sgd: the learning rate must not be negative or infinite, got ", options.lr);
  check(options.weight_decay >= 0 && std::isfinite(options.weight_decay),
        "sgd: weight_decay must not be negative or infinite, got ", options.weight_decay);
  check(!options.nesterov || options.momentum > 0,
        "sgd: nesterov needs momentum above 0; try momentum = 0.9");
  if (options.momentum == 0) return;
  // Zeros are PyTorch's first step, b = g, because there is no dampening.
  for (const auto& [name, p] : parameters_)
    momentum_.push_back(Tensor::zeros(p->shape(), p->value().dtype()));
}

void Sgd::step(double lr) {
  check(lr >= 0 && std::isfinite(lr),
        "sgd: the learning rate must not be negative or infinite, got ", lr);
  apply<float>(lr);
  apply<double>(lr);
  clear_gradients();
}

template <class T>
void Sgd::apply(double lr) {
  std::vector<Update<T>> updates;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!moves(i, dtype_of<T>, "sgd")) continue;
    Parameter& p = *parameters_[i].parameter;
    T* const b = momentum_.empty()
                     ? nullptr
                     : optimizer_state<T>(momentum_[i], parameters_[i], "sgd: momentum");
    const double decay = decay_of(i, options_.weight_decay, !options_.decay_norm_and_bias);
    const double own_lr = lr_of(i, lr);
    updates.push_back({p.mutable_value().template data<T>(),
                       std::as_const(p.grad).template data<T>(), b, static_cast<T>(own_lr),
                       static_cast<T>(options_.decoupled ? 0 : decay),
                       static_cast<T>(options_.decoupled ? 1 - own_lr * decay : 1)});
    sizes.push_back(p.numel());
  }
  for_all_elements(sizes, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    update_range(updates[i], static_cast<T>(options_.momentum), options_.nesterov, begin, end);
  });
}

std::vector<NamedTensor> Sgd::state() {
  std::vector<NamedTensor> found;
  for (std::size_t i = 0; i < momentum_.size(); ++i)
    found.push_back({"momentum." + parameters_[i].name, &momentum_[i]});
  return found;
}

}  // namespace exciton::optim
