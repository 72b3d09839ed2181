/// Stochastic gradient descent with momentum, in one pass over all parameters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

struct SgdOptions {
  double lr = 0.1;  ///< of step() without a schedule
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0;
  /// false: decay is added to the gradient (PyTorch's SGD, the paper); true: the weights shrink by
  /// 1 - lr weight_decay beside the step (SGDW, Loshchilov and Hutter 2019).
  bool decoupled = false;
  /// false exempts parameters whose Role is norm or bias (modules say which those are).
  bool decay_norm_and_bias = true;
};

/// torch.optim.SGD with dampening 0. For every parameter p with gradient g, buffer b (0 at first):
///   p <- p (1 - lr wd)  when decoupled,  else  g <- g + wd p
///   b <- momentum b + g
///   p <- p - lr (g + momentum b)  with nesterov,  else  p <- p - lr b
/// Errors: options out of range.
class Sgd final : public Optimizer {
 public:
  explicit Sgd(std::vector<NamedParameter> parameters, const SgdOptions& options = {});

  void step(double lr) override;
  void step() { step(options_.lr); }
  /// The momentum buffers, "momentum.<parameter>", in the order of the parameters. None without
  /// momentum.
  std::vector<NamedTensor> state() override;
  const SgdOptions& options() const { return options_; }

 private:
  template <class T>
  void apply(double lr);

  std::vector<Tensor> momentum_;
  SgdOptions options_;
};

}  // namespace exciton::optim
