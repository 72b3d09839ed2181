/// What every optimiser has in common, and all that a training loop needs of one.
#pragma once
#include <vector>

#include "exciton/core/parameter.hpp"

namespace exciton::optim {

/// Other rates for some parameters: those whose name fits `names`, in which * stands for any text
/// ("stage4.*", "*.se.*").
struct ParameterGroup {
  std::string names;
  double lr_factor = 1, decay_factor = 1;
};

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), norm the square root of the sum of the
/// squares of their elements, as torch.nn.utils.clip_grad_norm_ does. Returns norm. Call it between
/// backward and the step. Errors: max_norm not above 0.
double clip_gradients(const std::vector<NamedParameter>& parameters, double max_norm);

/// Brings every element of the gradients into [-max, max], as torch.nn.utils.clip_grad_value_ does;
/// NaN stays NaN. Errors: max not above 0.
void clip_values(const std::vector<NamedParameter>& parameters, double max);

/// Multiplies all gradients by `factor`.
void scale_gradients(const std::vector<NamedParameter>& parameters, double factor);

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
  /// A parameter belongs to the first group that its name fits, and has the factors 1 where there
  /// is none. Errors: a group that no parameter belongs to, a negative factor.
  void set_groups(const std::vector<ParameterGroup>& groups);

 protected:
  explicit Optimizer(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {}
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// True when this step moves parameter `i` and its values are of `type`. Errors: as step();
  /// `name` is the optimiser's.
  bool moves(std::size_t i, DType type, std::string_view name) const;
  /// The decay of parameter `i`: `decay` by its group's factor, or 0 for those of norms and biases
  /// when `exempt`.
  double decay_of(std::size_t i, double decay, bool exempt) const;
  /// The rate of parameter `i` by its group's factor.
  double lr_of(std::size_t i, double lr) const;

  std::vector<NamedParameter> parameters_;

 private:
  struct Factors {
    double lr = 1, decay = 1;
  };
  std::vector<Factors> factors_;  ///< none: all 1
};

/// The values of a parameter's optimiser state, in the parameter's type: the network may
/// have been converted since. Errors: another shape.
template <class T>
T* optimizer_state(Tensor& state, const NamedParameter& of, std::string_view what) {
  check(state.shape() == of.parameter->shape(), what, " of ", of.name, " is ", state.shape(),
        ", the parameter ", of.parameter->shape());
  state = state.to(dtype_of<T>);
  return state.template data<T>();
}

}  // namespace exciton::optim
