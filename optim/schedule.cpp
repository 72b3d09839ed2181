#include "exciton/optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "exciton/core/error.hpp"
#include "exciton/optim/registry.hpp"

namespace exciton::optim {
namespace {

bool is_rate(double value) { return std::isfinite(value) && value >= 0; }

double dropped(const ScheduleSpec& s, double drops) { return s.lr * std::pow(s.gamma, drops); }

/// The first step that is not before that epoch.
double first_step(const ScheduleSpec& s, double epochs) {
  const double exact = epochs * static_cast<double>(s.steps_per_epoch);
  const double nearest = std::round(exact);
  // Decimal fractions are rounded once when they are read and once in the product.
  constexpr double rounding = 1e-12;
  return std::abs(exact - nearest) <= rounding * std::max(1.0, exact) ? nearest : std::ceil(exact);
}

double constant(const ScheduleSpec& s, double) { return s.lr; }

double drops_by_step(const ScheduleSpec& s, double step) {
  const double length = s.step_size * static_cast<double>(s.steps_per_epoch);
  const double before = std::floor(step / length);  // all of these drops, and perhaps one more
  return dropped(s, first_step(s, (before + 1) * s.step_size) <= step ? before + 1 : before);
}

double multistep(const ScheduleSpec& s, double step) {
  return dropped(
      s, static_cast<double>(std::count_if(s.milestones.begin(), s.milestones.end(),
                                           [&](double m) { return step >= first_step(s, m); })));
}

double cosine(const ScheduleSpec& s, double step) {
  const auto warmup = static_cast<double>(s.warmup_steps);
  const auto end = static_cast<double>(s.final_lr > 0 ? s.total_steps - 1 : s.total_steps);
  // Where nothing is left behind the warm-up, it leads to lr, not to the end of no cosine.
  const double done = end > warmup ? std::min(1.0, (step - warmup) / (end - warmup)) : 0;
  return s.final_lr + (s.lr - s.final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

double one_cycle_linear(const ScheduleSpec& s, double step) {
  const auto total = static_cast<double>(s.total_steps);
  double peak = std::min(s.warmup_fraction * total, total - 1);
  if (peak < 1) peak = 0;
  return step < peak ? s.lr * step / peak : s.lr * (total - step) / (total - peak);
}

double triangular(const ScheduleSpec& s, double step) {
  const auto total = static_cast<double>(s.total_steps);
  double peak = std::min(s.warmup_fraction * total, total - 1);
  if (peak < 1) peak = 0;
  if (step < peak) return s.warmup_start_lr + (s.lr - s.warmup_start_lr) * step / peak;
  return s.final_lr + (s.lr - s.final_lr) * (total - step) / (total - peak);
}

constexpr std::pair<const char*, double (*)(const ScheduleSpec&, double)> standard[] = {
    {"constant", constant},
    {"step", drops_by_step},
    {"multistep", multistep},
    {"cosine", cosine},
    {"one_cycle_linear", one_cycle_linear},
    {"triangular", triangular}};

}  // namespace

Schedule::Schedule(ScheduleSpec spec) : spec_(std::move(spec)) {
  const ScheduleSpec& s = spec_;
  shape_ = schedule_registry().at(s.kind);
  check(s.warmup == "linear" || s.warmup == "constant", "schedule: unknown warmup \"", s.warmup,
        "\"; known are linear and constant");
  check(is_rate(s.lr) && is_rate(s.final_lr) && is_rate(s.warmup_start_lr),
        "schedule: learning rates must not be negative, got lr ", s.lr, ", final_lr ", s.final_lr,
        ", warmup_start_lr ", s.warmup_start_lr);
  check(s.total_steps >= 1 && s.steps_per_epoch >= 1,
        "schedule: total_steps and steps_per_epoch must be at least 1, got ", s.total_steps,
        " and ", s.steps_per_epoch);
  check(s.warmup_steps >= 0 && s.warmup_steps <= s.total_steps,
        "schedule: warmup_steps must be in [0, total_steps = ", s.total_steps, "], got ",
        s.warmup_steps);
  check(is_rate(s.gamma), "schedule: gamma must not be negative, got ", s.gamma);
  check(s.kind != "step" || (std::isfinite(s.step_size) && s.step_size > 0),
        "schedule: step_size must be above 0, got ", s.step_size);
  check((s.kind != "one_cycle_linear" && s.kind != "triangular") ||
            (s.warmup_fraction >= 0 && s.warmup_fraction <= 1),
        "schedule: warmup_fraction must be in [0, 1], got ", s.warmup_fraction);
  check(std::is_sorted(s.milestones.begin(), s.milestones.end()) &&
            std::all_of(s.milestones.begin(), s.milestones.end(), is_rate),
        "schedule: milestones must ascend, from 0 or more");
  // A warm-up as long as the run leads to lr within it; a run of one step has none.
  spec_.warmup_steps = std::min(spec_.warmup_steps, s.total_steps - 1);
}

double Schedule::lr(std::int64_t step) const {
  const ScheduleSpec& s = spec_;
  const auto at = static_cast<double>(std::clamp<std::int64_t>(step, 0, s.total_steps));
  const auto warmup = static_cast<double>(s.warmup_steps);
  if (at >= warmup) return shape_(s, at);
  if (s.warmup == "constant") return s.warmup_start_lr;
  return s.warmup_start_lr + (shape_(s, warmup) - s.warmup_start_lr) * at / warmup;
}

NamedRegistry<ScheduleShape>& schedule_registry() {
  static NamedRegistry<ScheduleShape> all = [] {
    NamedRegistry<ScheduleShape> registry("schedule");
    for (const auto& [name, shape] : standard) registry.add(name, shape);
    return registry;
  }();
  return all;
}

bool is_standard_schedule(std::string_view name) {
  return std::ranges::any_of(standard, [&](const auto& s) { return s.first == name; });
}

}  // namespace exciton::optim
