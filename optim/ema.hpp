/// Exponential moving average of weights (Polyak and Juditsky 1992), for evaluation.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/core/parameter.hpp"

namespace exciton::optim {

struct EmaOptions {
  double decay = 0.9999;
  /// Keeps the random weights of the start out of the average: early updates decay less, as
  /// TensorFlow's num_updates and timm's use_warmup do.
  bool warmup = true;
};

/// After step t (from 1)
///   average <- average + (1 - d) (value - average),   d = min(decay, (1 + t) / (10 + t)),
/// without warm-up d = decay, for parameters and floating buffers (running statistics must fit the
/// weights they are used with). Starts at the values; values that do not move are not moved by it.
/// Without warm-up the share of the start in the average is decay^t, 46 % after 7,800 steps at
/// 0.9999; with it, 3e-29.
class Ema {
 public:
  /// Errors: decay outside [0, 1).
  Ema(std::vector<NamedParameter> parameters, std::vector<NamedTensor> buffers,
      const EmaOptions& options);

  /// After step `step`, counted from 1. Errors: called while swapped, a step below 1.
  void update(std::int64_t step);
  /// Exchanges averages and values: call before evaluation and again after it.
  void swap();
  bool swapped() const { return swapped_; }
  /// The averages, "ema.<name>", for checkpoints. How many updates there were is the step.
  std::vector<NamedTensor> state();
  /// d after that step.
  double decay_at(std::int64_t step) const;

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<NamedTensor> buffers_;
  std::vector<Tensor> averages_;  // parameters, then buffers
  EmaOptions options_;
  bool swapped_ = false;
};

/// Has the averages in the place of the weights while in scope; nothing where there is no average.
class Averaged {
 public:
  explicit Averaged(Ema* average) : average_(average) {
    if (average_) average_->swap();
  }
  ~Averaged() {
    if (average_) average_->swap();
  }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  Ema* average_;
};

}  // namespace exciton::optim
