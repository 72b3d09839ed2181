/// The log of a run, as documents.
#pragma once
#include <vector>

#include "exciton/train/json.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {

/// Its lines, in which "test_*" are the values of what was looked at after the epoch: those of
/// "val_*" where images of their own choose the best epoch ("measured_on" says which).
std::vector<train::Json> watched_log(const train::RunFolder& folder);

}  // namespace exciton::apps
