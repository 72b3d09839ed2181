/// Changes as JSON, for checkpoints.
#pragma once
#include <string>

#include "exciton/train/changes.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train {

Json to_json(const Change& change);
/// Errors: what is missing or of another type, beginning with `who`.
Change change_from(const Json& json, const std::string& who);

}  // namespace exciton::train
