/// Whether a run may go on, and under which recipe.
#pragma once
#include <optional>

#include "exciton/train/recipe.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

/// The recipe under which the run in `folder` goes on. What it was trained with so far is told by
/// the checkpoint itself; recipe.json may have been edited since. With `change`, what can_change()
/// allows may differ. Errors: the three do not go together.
Recipe recipe_to_resume(Recipe given, const RunFolder& folder,
                        const std::optional<FoundCheckpoint>& start, bool change = false);

/// The recipe that a checkpoint was trained with, if there is one.
std::optional<Recipe> trained_recipe(const std::optional<FoundCheckpoint>& start);

}  // namespace exciton::train
