#include "optim/sgd.hpp"

#include <utility>

#include "optim/elements.hpp"

namespace exciton::optim {
namespace {

/// One parameter of a step, with the options already resolved for it.
template <class T>
struct Update {
  T* p;
  const T* g;
  T* b;  // nullptr without momentum
  T decay, shrink;
};

template <class T>
void update_range(const Update<T>& u, T lr, T momentum, bool nesterov, std::int64_t begin,
                  std::int64_t end) {
  T* __restrict p = u.p;
  T* __restrict b = u.b;
  const T* __restrict g = u.g;
  const T decay = u.decay, shrink = u.shrink;
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
    : parameters_(std::move(parameters)), options_(options) {
  check(options.momentum >= 0 && options.momentum < 1, "sgd: momentum must be in [0, 1), got ",
        options.momentum);
  check(options.weight_decay >= 0, "sgd: weight_decay must not be negative, got ",
        options.weight_decay);
  check(!options.nesterov || options.momentum > 0,
        "sgd: nesterov needs momentum above 0; try momentum = 0.9");
  if (options.momentum == 0) return;
  // Zeros are PyTorch's first step, b = g, because there is no dampening.
  for (const auto& [name, p] : parameters_)
    momentum_.push_back(Tensor::zeros(p->shape(), p->value().dtype()));
}

void Sgd::step(double lr) {
  check(lr >= 0, "sgd: the learning rate must not be negative, got ", lr);
  apply<float>(lr);
  apply<double>(lr);
  clear_gradients();
}

template <class T>
void Sgd::apply(double lr) {
  std::vector<Update<T>> updates;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    auto& [name, p] = parameters_[i];
    const DType type = p->value().dtype();
    check(type == DType::f32 || type == DType::f64, "sgd: ", name, " is ", type,
          ", wants f32 or f64 (master weights stay f32)");
    if (type != dtype_of<T> || p->grad.empty() || !p->trainable) continue;
    check(p->grad.shape() == p->shape() && p->grad.dtype() == type, "sgd: ", name, " is ",
          p->shape(), " ", type, ", its gradient ", p->grad.shape(), " ", p->grad.dtype());
    T* b = nullptr;
    if (!momentum_.empty()) {
      check(momentum_[i].shape() == p->shape(), "sgd: momentum of ", name, " is ",
            momentum_[i].shape(), ", the parameter ", p->shape());
      momentum_[i] = momentum_[i].to(type);  // the network may have been converted since
      b = momentum_[i].template data<T>();
    }
    const bool exempt = !options_.decay_norm_and_bias && p->shape().rank() <= 1;
    const double decay = exempt ? 0 : options_.weight_decay;
    updates.push_back({p->mutable_value().template data<T>(),
                       std::as_const(p->grad).template data<T>(), b,
                       static_cast<T>(options_.decoupled ? 0 : decay),
                       static_cast<T>(options_.decoupled ? 1 - lr * decay : 1)});
    sizes.push_back(p->numel());
  }
  for_all_elements(sizes, [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    update_range(updates[i], static_cast<T>(lr), static_cast<T>(options_.momentum),
                 options_.nesterov, begin, end);
  });
}

void Sgd::clear_gradients() {
  for (const auto& [name, p] : parameters_) p->grad = Tensor();
}

std::vector<NamedTensor> Sgd::state() {
  std::vector<NamedTensor> found;
  for (std::size_t i = 0; i < momentum_.size(); ++i)
    found.push_back({"momentum." + parameters_[i].name, &momentum_[i]});
  return found;
}

}  // namespace exciton::optim
