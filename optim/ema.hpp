/// Exponential moving average of weights (Polyak and Juditsky 1992), for evaluation.
#pragma once
#include <vector>

#include "core/parameter.hpp"

namespace exciton::optim {

/// After every step  average <- decay average + (1 - decay) value  for parameters and floating
/// buffers (running statistics must fit the weights they are used with). Starts at the values.
class Ema {
 public:
  /// Errors: decay outside [0, 1).
  Ema(std::vector<NamedParameter> parameters, std::vector<NamedTensor> buffers, double decay);

  /// Errors: called while swapped.
  void update();
  /// Exchanges averages and values: call before evaluation and again after it.
  void swap();
  bool swapped() const { return swapped_; }
  /// The averages, "ema.<name>", for checkpoints.
  std::vector<NamedTensor> state();

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<NamedTensor> buffers_;
  std::vector<Tensor> averages_;  // parameters, then buffers
  double decay_;
  bool swapped_ = false;
};

}  // namespace exciton::optim
