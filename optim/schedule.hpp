/// Learning-rate schedules: pure functions of the step.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace exciton::optim {

struct ScheduleSpec {
  /// "constant", "step", "multistep", "cosine", "one_cycle_linear" or "triangular", or one that was
  /// registered (optim/registry.hpp).
  std::string kind = "constant";
  double lr = 0.1;               ///< the base (for one_cycle_linear the highest) rate
  std::int64_t total_steps = 1;  ///< of the whole training
  std::int64_t steps_per_epoch = 1;

  double gamma = 0.1;     ///< step, multistep: factor of each drop
  double step_size = 30;  ///< step: epochs between drops
  std::vector<double>
      milestones{};              ///< multistep: epochs of the drops, ascending, may be fractional
  double final_lr = 0;           ///< cosine: the rate of the last step; 0: it would be 0 after it
                                 ///< triangular: what it falls to
  double warmup_fraction = 0.2;  ///< one_cycle_linear, triangular: share of the steps that rise

  std::int64_t warmup_steps = 0;  ///< the first steps, which rise to the schedule's own rate
  double warmup_start_lr = 0;     ///< the rate at step 0 when warmup_steps > 0; and of triangular
  /// "linear", or "constant": warmup_start_lr during all warm-up steps (ResNet-110 of He et al.).
  std::string warmup = "linear";
};

/// The rate of a step behind the warm-up. Steps count from 0 and are at most total_steps.
using ScheduleShape = std::function<double(const ScheduleSpec& spec, double step)>;

/// With s the step (from 0), S total_steps, E steps_per_epoch, W warmup_steps, and first(m) the
/// first step that is not before epoch m, the smallest integer of m E or more:
///   constant          lr
///   step              lr gamma^(number of k >= 1 with s >= first(k step_size))
///   multistep         lr gamma^(number of milestones m with s >= first(m))
///   cosine            final_lr + (lr - final_lr) (1 + cos(pi (s - W) / D)) / 2
///   one_cycle_linear  lr s / P up to P, then lr (S - s) / (S - P)
///   triangular        start + (lr - start) s / P up to P,
///                     then final_lr + (lr - final_lr) (S - s) / (S - P)
/// and for s < W instead  start + (schedule(W) - start) s / W  (or start, when constant).
/// Epochs are counted from the first step, warm-up included.
///
/// D = S - 1 - W: the last step has final_lr. When that is 0, a step that would change nothing,
/// D = S - W: the cosine reaches 0 one step after the last (PyTorch's CosineAnnealingLR with T_max
/// = S). P = warmup_fraction S, at most S - 1, and 0 where that is less than a step: the highest
/// rate lies within the run. So does the end of a warm-up: W is at most S - 1. A product m E that
/// misses an integer by rounding alone (1.1 * 50) is that integer. Steps after S have the rate of
/// S.
class Schedule {
 public:
  /// Errors: an unknown kind, numbers out of range, milestones not ascending.
  explicit Schedule(ScheduleSpec spec);
  double lr(std::int64_t step) const;
  const ScheduleSpec& spec() const { return spec_; }

 private:
  ScheduleSpec spec_;
  ScheduleShape shape_;
};

}  // namespace exciton::optim
