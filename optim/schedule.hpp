/// Learning-rate schedules: pure functions of the step.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace exciton::optim {

struct ScheduleSpec {
  /// "constant", "step", "multistep", "cosine" or "one_cycle_linear".
  std::string kind = "constant";
  double lr = 0.1;               ///< the base (for one_cycle_linear the highest) rate
  std::int64_t total_steps = 1;  ///< of the whole training
  std::int64_t steps_per_epoch = 1;

  double gamma = 0.1;     ///< step, multistep: factor of each drop
  double step_size = 30;  ///< step: epochs between drops
  std::vector<double>
      milestones{};              ///< multistep: epochs of the drops, ascending, may be fractional
  double final_lr = 0;           ///< cosine: the rate at total_steps
  double warmup_fraction = 0.2;  ///< one_cycle_linear: share of the steps that rise

  std::int64_t warmup_steps = 0;  ///< the first steps, which rise to the schedule's own rate
  double warmup_start_lr = 0;     ///< the rate at step 0 when warmup_steps > 0
  /// "linear", or "constant": warmup_start_lr during all warm-up steps (ResNet-110 of He et al.).
  std::string warmup = "linear";
};

/// With s the step (from 0), S total_steps, E steps_per_epoch, W warmup_steps:
///   constant          lr
///   step              lr gamma^floor(s / (step_size E))
///   multistep         lr gamma^(number of milestones m with s >= m E)
///   cosine            final_lr + (lr - final_lr) (1 + cos(pi (s - W) / (S - W))) / 2
///   one_cycle_linear  lr s / P up to P = warmup_fraction S, then lr (S - s) / (S - P)
/// and for s < W instead  start + (schedule(W) - start) s / W  (or start, when constant).
/// Epochs are counted from the first step, warm-up included.
class Schedule {
 public:
  /// Errors: an unknown kind, numbers out of range, milestones not ascending.
  explicit Schedule(ScheduleSpec spec);
  double lr(std::int64_t step) const;
  const ScheduleSpec& spec() const { return spec_; }

 private:
  double after_warmup(double step) const;
  ScheduleSpec spec_;
};

}  // namespace exciton::optim
