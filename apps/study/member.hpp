/// One trained network of a study: its run folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "exciton/train/json.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::apps {

/// Trains what is left of a member; a run that is done costs nothing. False: interrupted.
bool train_member(train::Recipe recipe, const std::filesystem::path& out);

/// The log of a member that is trained. Errors: a line is missing or damaged.
std::vector<train::Json> log_of(const std::filesystem::path& member, std::int64_t epochs);

}  // namespace exciton::apps
