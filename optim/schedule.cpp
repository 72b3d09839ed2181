#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/error.hpp"

namespace exciton::optim {

Schedule::Schedule(ScheduleSpec spec) : spec_(std::move(spec)) {
  const ScheduleSpec& s = spec_;
  const auto kinds = {"constant", "step", "multistep", "cosine", "one_cycle_linear"};
  check(std::find(kinds.begin(), kinds.end(), s.kind) != kinds.end(), "schedule: unknown kind \"",
        s.kind, "\"; known are constant, step, multistep, cosine and one_cycle_linear");
  check(s.warmup == "linear" || s.warmup == "constant", "schedule: unknown warmup \"", s.warmup,
        "\"; known are linear and constant");
  check(s.lr >= 0 && s.final_lr >= 0 && s.warmup_start_lr >= 0,
        "schedule: learning rates must not be negative, got lr ", s.lr, ", final_lr ", s.final_lr,
        ", warmup_start_lr ", s.warmup_start_lr);
  check(s.total_steps >= 1 && s.steps_per_epoch >= 1,
        "schedule: total_steps and steps_per_epoch must be at least 1, got ", s.total_steps,
        " and ", s.steps_per_epoch);
  check(s.warmup_steps >= 0 && s.warmup_steps <= s.total_steps,
        "schedule: warmup_steps must be in [0, total_steps = ", s.total_steps, "], got ",
        s.warmup_steps);
  check(s.kind != "step" || s.step_size > 0, "schedule: step_size must be above 0, got ",
        s.step_size);
  check(s.kind != "one_cycle_linear" || (s.warmup_fraction >= 0 && s.warmup_fraction <= 1),
        "schedule: warmup_fraction must be in [0, 1], got ", s.warmup_fraction);
  check(std::is_sorted(s.milestones.begin(), s.milestones.end()),
        "schedule: milestones must ascend");
}

double Schedule::lr(std::int64_t step) const {
  const ScheduleSpec& s = spec_;
  const auto at = static_cast<double>(std::clamp<std::int64_t>(step, 0, s.total_steps));
  const auto warmup = static_cast<double>(s.warmup_steps);
  if (at >= warmup) return after_warmup(at);
  if (s.warmup == "constant") return s.warmup_start_lr;
  return s.warmup_start_lr + (after_warmup(warmup) - s.warmup_start_lr) * at / warmup;
}

double Schedule::after_warmup(double step) const {
  const ScheduleSpec& s = spec_;
  const auto total = static_cast<double>(s.total_steps);
  const auto epoch = static_cast<double>(s.steps_per_epoch);
  if (s.kind == "step") return s.lr * std::pow(s.gamma, std::floor(step / (s.step_size * epoch)));
  if (s.kind == "multistep") {
    const auto passed = std::count_if(s.milestones.begin(), s.milestones.end(),
                                      [&](double m) { return step >= m * epoch; });
    return s.lr * std::pow(s.gamma, static_cast<double>(passed));
  }
  if (s.kind == "cosine") {
    const auto warmup = static_cast<double>(s.warmup_steps);
    const double done = total > warmup ? (step - warmup) / (total - warmup) : 1;
    return s.final_lr + (s.lr - s.final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
  }
  if (s.kind == "one_cycle_linear") {
    const double peak = s.warmup_fraction * total;
    return step < peak ? s.lr * step / peak
                       : (total > peak ? s.lr * (total - step) / (total - peak) : s.lr);
  }
  return s.lr;
}

}  // namespace exciton::optim
