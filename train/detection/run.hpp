/// Training of detectors: what run() does where a recipe's task is "detection".
#pragma once
#include <optional>

#include "exciton/train/run.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

/// As run(), with the same guarantees. `lock` and `start` are those of an occupied folder. Errors:
/// those of run(); a change of course or a replay, which detectors do not know.
Outcome run_detector(Recipe recipe, const RunOptions& options, Observer& observer,
                     std::optional<FolderLock> lock, std::optional<FoundCheckpoint> start);

}  // namespace exciton::train
