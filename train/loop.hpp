/// The training step, for whoever brings their own data or their own loop. No file, no printing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/core/group.hpp"
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
  double clip_value = 0;          ///< of each element, before; see optim::clip_values; 0: none
  optim::Ema* average = nullptr;  ///< updated after each step, where there is one
  /// Processes that share every batch, see core/group.hpp; batches are this one's parts then, and
  /// what a step returns is of all of them.
  Group* group = nullptr;
  bool sync_norms = false;      ///< batch norm over the whole batch, see Share
  bool bf16_gradients = false;  ///< on their way between the ranks
  /// Parameter groups of the optimiser that have a schedule of their own; behind its last step they
  /// are frozen. See optim::ParameterGroup::epochs.
  std::vector<std::pair<std::size_t, optim::Schedule>> group_schedules{};
};

struct StepResult {
  double loss = 0;                       ///< mean over the batch, before the update
  double gradient_norm = 0;              ///< before it is clipped by norm; 0 without
  bool skipped = false;                  ///< the norm is no number, and no parameter was changed
  std::int64_t correct = 0, images = 0;  ///< of a mixed image the label of the larger share counts
  double exchange_seconds = 0;           ///< in which the step waited for gradients of other ranks
  std::int64_t exchange_bytes = 0;       ///< of gradients and statistics, one way
};

/// The loss of a step is NaN or infinite; no parameter was changed.
class NotFinite : public Error {
 public:
  NotFinite(double loss, std::vector<std::int64_t> images);
  double loss() const { return loss_; }
  /// Of the batch: which images of the data set.
  const std::vector<std::int64_t>& images() const { return images_; }

 private:
  double loss_;
  std::vector<std::int64_t> images_;
};

/// Forward, loss, backward, update; with a group, of every rank's part of the batch, with the sums
/// of the gradients over them. Steps are counted from 0, and the schedule says the rate of each.
class Loop {
 public:
  /// `net` and `optimizer`, whose parameters are the net's, must outlive the loop. Puts the net
  /// into training mode.
  Loop(nn::Module& net, optim::Optimizer& optimizer, optim::Schedule schedule,
       LoopOptions options = {});

  /// The tape tells `observer`, where there is one. Errors: NotFinite; those of the net and the
  /// loss.
  StepResult step(const data::Batch& batch, TapeObserver* observer = nullptr);

  /// The same in two: gradients of any number of batches,
  /// and one update by their mean over all images, which is as by one batch of all of them, but
  /// that batch norm sees them one by one.
  StepResult accumulate(const data::Batch& batch, TapeObserver* observer = nullptr);
  /// Updates by what was accumulated. Returns the sums and means over it. Errors: nothing was.
  StepResult update();

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
  StepResult gathered_;  ///< since the last update; `loss` is a sum over images
  double gathered_weight_ = 0, first_weight_ = 1;  ///< of labels, by which batches count
  std::int64_t batches_ = 0;
  std::vector<Tensor*> running_;  ///< statistics that ranks take the mean of
  std::int64_t steps_ = 0;
  double lr_;
};

}  // namespace exciton::train
