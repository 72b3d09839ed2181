/// What runs of all tasks share.
#pragma once
#include <cmath>
#include <cstdint>

#include "exciton/optim/schedule.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Counts the changes that moved the last bits of what a training step computes. 2: batch variance
/// from shifted sums, and NaN passed on by every ReLU. 3: one form of the sigmoid's gradient and of
/// the hard sigmoid, for gates of SE and of its variants. 4: sums over images by leaves, for any
/// number of threads. 5: each leaf's gradient is rounded for itself, so that ranks can go on
/// adding.
inline constexpr std::int64_t numerics = 5;

/// The schedule of a recipe, whose lengths are in epochs.
inline optim::Schedule make_schedule(const Recipe& recipe, std::int64_t steps_per_epoch) {
  const ScheduleRecipe& s = recipe.schedule;
  optim::ScheduleSpec spec;
  spec.kind = s.name;
  spec.lr = s.lr;
  spec.total_steps = recipe.epochs * steps_per_epoch;
  spec.steps_per_epoch = steps_per_epoch;
  spec.gamma = s.gamma;
  spec.step_size = s.step_epochs;
  spec.milestones = s.milestones;
  spec.final_lr = s.final_lr;
  spec.warmup_fraction = s.warmup_fraction;
  spec.warmup_steps = std::llround(s.warmup_epochs * static_cast<double>(steps_per_epoch));
  spec.warmup_start_lr = s.warmup_start_lr;
  spec.warmup = s.warmup;
  return optim::Schedule(spec);
}

}  // namespace exciton::train
