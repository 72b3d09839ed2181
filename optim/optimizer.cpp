#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

void Optimizer::clear_gradients() {
  for (const auto& [name, p] : parameters_) p->grad = Tensor();
}

bool Optimizer::moves(std::size_t i, DType type, std::string_view optimizer) const {
  const auto& [name, p] = parameters_[i];
  const DType own = p->value().dtype();
  check(own == DType::f32 || own == DType::f64, optimizer, ": ", name, " is ", own,
        ", wants f32 or f64 (master weights stay f32)");
  if (type != own || p->grad.empty() || !p->trainable) return false;
  check(p->grad.shape() == p->shape() && p->grad.dtype() == type, optimizer, ": ", name, " is ",
        p->shape(), " ", type, ", its gradient ", p->grad.shape(), " ", p->grad.dtype());
  return true;
}

double Optimizer::decay_of(std::size_t i, double decay, bool exempt) const {
  return exempt && parameters_[i].parameter->role != Role::weight ? 0 : decay;
}

}  // namespace exciton::optim
