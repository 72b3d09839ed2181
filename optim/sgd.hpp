/// Stochastic gradient descent with momentum, in one pass over all parameters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/parameter.hpp"

namespace exciton::optim {

struct SgdOptions {
  double lr = 0.1;  ///< of step() without a schedule
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0;
  /// false: decay is added to the gradient (PyTorch's SGD, the paper); true: the weights shrink by
  /// 1 - lr weight_decay beside the step (SGDW, Loshchilov and Hutter 2019).
  bool decoupled = false;
  /// false exempts parameters of rank 1: batch-norm weights and all biases.
  bool decay_norm_and_bias = true;
};

/// torch.optim.SGD with dampening 0. For every parameter p with gradient g, buffer b (0 at first):
///   p <- p (1 - lr wd)  when decoupled,  else  g <- g + wd p
///   b <- momentum b + g
///   p <- p - lr (g + momentum b)  with nesterov,  else  p <- p - lr b
/// Parameters without a gradient, or frozen, stay as they are. f32 and f64.
/// Errors: options out of range; gradients of another shape or type than their parameter.
class Sgd {
 public:
  Sgd(std::vector<NamedParameter> parameters, const SgdOptions& options = {});

  /// Applies and clears the gradients.
  void step(double lr);
  void step() { step(options_.lr); }
  /// Forgets the gradients without a step.
  void clear_gradients();

  /// The momentum buffers, "momentum.<parameter>", in the order of the parameters: write them to a
  /// checkpoint, or copy them back. None without momentum.
  std::vector<NamedTensor> state();
  const SgdOptions& options() const { return options_; }

 private:
  template <class T>
  void apply(double lr);

  std::vector<NamedParameter> parameters_;
  std::vector<Tensor> momentum_;
  SgdOptions options_;
};

}  // namespace exciton::optim
