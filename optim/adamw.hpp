/// AdamW (Loshchilov and Hutter 2019), in one pass over all parameters.
#pragma once
#include <string>
#include <vector>

#include "exciton/optim/optimizer.hpp"

namespace exciton::optim {

struct AdamWOptions {
  double lr = 1e-3;  ///< of step() without a schedule
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  /// false exempts parameters whose Role is norm or bias (modules say which those are).
  bool decay_norm_and_bias = true;
};

/// torch.optim.AdamW. For every parameter p with gradient g, moments m and v (0 at first), and t
/// the steps it has taken, this one included:
///   p <- p (1 - lr wd)
///   m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
///   p <- p - lr mh / (sqrt(vh) + eps)   with mh = m / (1 - beta1^t), vh = v / (1 - beta2^t)
/// Errors: options out of range.
class AdamW final : public Optimizer {
 public:
  explicit AdamW(std::vector<NamedParameter> parameters, const AdamWOptions& options = {});

  void step(double lr) override;
  void step() { step(options_.lr); }
  /// "mean.<parameter>" and "square.<parameter>", m and v of each in the order of the parameters;
  /// then "steps" [number of parameters] i64, each one's t.
  std::vector<NamedTensor> state() override;
  const AdamWOptions& options() const { return options_; }

 private:
  template <class T>
  void apply(double lr);

  std::vector<Tensor> mean_, square_;
  Tensor steps_;
  AdamWOptions options_;
};

}  // namespace exciton::optim
