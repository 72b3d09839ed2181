/// The JSON type of recipes, logs and checkpoint headers: keys keep the order they are written in.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace exciton::apps {

using Json = nlohmann::ordered_json;

/// Parses a JSON file. Errors: unreadable, or malformed (naming line and column).
Json read_json(const std::filesystem::path& path);

/// "a string", "a number", ... : what a value is, for error messages.
std::string kind_of(const Json& value);

}  // namespace exciton::apps
