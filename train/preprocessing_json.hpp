/// Preprocessing as checkpoints hold it.
#pragma once
#include <filesystem>

#include "exciton/train/json.hpp"
#include "exciton/train/preprocessing.hpp"

namespace exciton::train {

Json to_json(const Preprocessing& of);
/// Errors: what cannot be one; `path` names the checkpoint in them.
Preprocessing preprocessing_from(const Json& json, const std::filesystem::path& path);

}  // namespace exciton::train
