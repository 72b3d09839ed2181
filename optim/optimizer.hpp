/// What every optimiser has in common, and all that a training loop needs of one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exciton/core/parameter.hpp"

namespace exciton::optim {

/// Other rates for some parameters: those whose name fits `names`, in which * stands for any text
/// ("stage4.*", "*.se.*").
struct ParameterGroup {
  std::string names;
  double lr_factor = 1, decay_factor = 1;
  /// A name of optimizer_registry() that has these parameters; empty: the one that has the others.
  std::string optimizer = "";
  double momentum = -1;  ///< its momentum; negative: that of the others
  /// Trained in so many first epochs only, by the schedule of a run of that length: with a rate
  /// that falls, it falls to the end of them. Then frozen: no gradient is computed. 0, or more than
  /// the run has: all epochs.
  double epochs = 0;

  bool operator==(const ParameterGroup&) const = default;
};

/// The first group that a parameter of this name belongs to, or groups.size().
std::size_t group_of(const std::string& name, const std::vector<ParameterGroup>& groups);

/// Errors: one parameter is among them twice, under whatever names; `who` complains.
void check_distinct(std::string_view who, const std::vector<NamedParameter>& parameters);

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), norm the square root of the sum of the
/// squares of their elements, as torch.nn.utils.clip_grad_norm_ does. Returns norm. Call it between
/// backward and the step. Errors: max_norm not above 0, a parameter that is among them twice.
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
  /// From here on the parameters of a group have this rate, by their factor, in place of that of
  /// step(); without one they are frozen (those that were not trainable when the groups were set
  /// stay so).
  virtual void set_group(std::size_t group, std::optional<double> lr);
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

 protected:
  /// Errors: a parameter that is among them twice.
  explicit Optimizer(std::vector<NamedParameter> parameters);
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

  /// Takes the groups' factors for its own parameters; returns how many belong to each.
  virtual std::vector<std::int64_t> take_groups(const std::vector<ParameterGroup>& groups);
  /// The same for another optimiser, which is a part of this one.
  static std::vector<std::int64_t> groups_of(Optimizer& part,
                                             const std::vector<ParameterGroup>& groups) {
    return part.take_groups(groups);
  }

  std::vector<NamedParameter> parameters_;

 private:
  struct Factors {
    double lr = 1, decay = 1;
    std::size_t group = 0;  ///< that many: none
    bool trainable = true;
  };
  std::vector<Factors> factors_;               ///< none: all 1
  std::vector<std::optional<double>> own_lr_;  ///< a group each
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
