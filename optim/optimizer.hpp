/// What every optimiser has in common, and all that a training loop needs of one.
#pragma once
#include <vector>

#include "exciton/core/parameter.hpp"

namespace exciton::optim {

/// Moves parameters along their gradients. Parameters without a gradient, or frozen, stay as they
/// are. f32 and f64.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Applies and clears the gradients. Errors: a negative rate; gradients of another shape or type
  /// than their parameter.
  virtual void step(double lr) = 0;
  /// What the optimiser remembers from step to step, named, always in the same order: write it to a
  /// checkpoint, or copy it back.
  virtual std::vector<NamedTensor> state() = 0;
  /// Forgets the gradients without a step.
  void clear_gradients();

 protected:
  explicit Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {}
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// True when this step moves parameter `i` and its values are of `type`. Errors: as step();
  /// `name` is the optimiser's.
  bool moves(std::size_t i, DType type, std::string_view name) const;
  /// The decay of parameter `i`: `decay`, or 0 for those of norms and biases when `exempt`.
  double decay_of(std::size_t i, double decay, bool exempt) const;

  std::vector<NamedParameter> parameters_;
};

/// The values of something remembered for a parameter, in the parameter's type: the network may
/// have been converted since. Errors: another shape.
template <class T>
T* remembered(Tensor& state, const NamedParameter& of, std::string_view what) {
  check(state.shape() == of.parameter->shape(), what, " of ", of.name, " is ", state.shape(),
        ", the parameter ", of.parameter->shape());
  state = state.to(dtype_of<T>);
  return state.template data<T>();
}

}  // namespace exciton::optim
