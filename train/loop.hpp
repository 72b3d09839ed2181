/// The training step, for whoever brings their own data or their own loop. No file, no printing.
#pragma once
#include <cstdint>

#include "exciton/core/error.hpp"
#include "exciton/data/loader.hpp"
#include "exciton/nn/module.hpp"
#include "exciton/optim/ema.hpp"
#include "exciton/optim/optimizer.hpp"
#include "exciton/optim/schedule.hpp"

namespace exciton::train {

struct LoopOptions {
  double label_smoothing = 0;
  Tensor class_weights{};         ///< [classes] f64, see ops/cross_entropy.hpp; may be empty
  double clip_norm = 0;           ///< of all gradients together, see optim::clip_gradients; 0: none
  optim::Ema* average = nullptr;  ///< updated after each step, where there is one
};

struct StepResult {
  double loss = 0;                       ///< mean over the batch, before the update
  double gradient_norm = 0;              ///< before clipping; 0 without
  std::int64_t correct = 0, images = 0;  ///< of a mixed image the label of the larger share counts
};

/// The loss of a step is NaN or infinite; no parameter was changed.
class NotFinite : public Error {
 public:
  explicit NotFinite(double loss);
  double loss() const { return loss_; }

 private:
  double loss_;
};

/// Forward, loss, backward, update; steps are counted from 0, and the schedule says the rate of
/// each.
class Loop {
 public:
  /// `net` and `optimizer`, whose parameters are the net's, must outlive the loop. Puts the net
  /// into training mode.
  Loop(nn::Module& net, optim::Optimizer& optimizer, optim::Schedule schedule,
       LoopOptions options = {});

  /// The tape tells `observer`, where there is one. Errors: NotFinite; those of the net and the
  /// loss.
  StepResult step(const data::Batch& batch, TapeObserver* observer = nullptr);

  /// How many steps were made, those before a resume included.
  std::int64_t steps() const { return steps_; }
  void resume_at(std::int64_t steps) { steps_ = steps; }
  /// The rate of the last step; of the next one before there was any.
  double lr() const { return lr_; }
  const optim::Schedule& schedule() const { return schedule_; }

 private:
  nn::Module& net_;
  optim::Optimizer& optimizer_;
  optim::Schedule schedule_;
  LoopOptions options_;
  std::vector<NamedParameter> parameters_;
  std::int64_t steps_ = 0;
  double lr_;
};

}  // namespace exciton::train
