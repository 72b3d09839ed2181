/// What to say where no data set was found.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace exciton::data {

/// True for a kind that fetch_dataset can bring.
bool can_be_fetched(const std::string& kind);

/// No data set of `kind` in `dir`, which is there: throws an Error with what lies there instead, or
/// NotFound where the folder is empty and a data set can be fetched into it. `looked_for` names
/// what would be one.
[[noreturn]] void fail_to_find(const std::string& kind, const std::filesystem::path& dir,
                               const std::vector<std::string>& looked_for);

}  // namespace exciton::data
