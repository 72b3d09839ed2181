/// Where the recipes are that come along.
#pragma once
#include <filesystem>
#include <string>

namespace exciton::apps {

/// The given folder, or ./recipes, or the installed one beside the program. Errors: none is there;
/// the message names the option that gives one.
std::filesystem::path recipe_folder(const std::string& given, const std::string& option);

}  // namespace exciton::apps
