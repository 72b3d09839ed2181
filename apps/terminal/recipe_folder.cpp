#include "apps/terminal/recipe_folder.hpp"

#include <vector>

#include "exciton/core/error.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;

fs::path recipe_folder(const std::string& given, const std::string& option) {
  std::vector<fs::path> places{given};
  if (given.empty()) {
    std::error_code error;  // a system without /proc only has the first place
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    places = {"recipes", program.parent_path().parent_path() / "share" / "exciton" / "recipes"};
  }
  std::string looked;
  for (const fs::path& place : places) {
    if (fs::is_directory(place)) return place;
    looked += (looked.empty() ? "" : " or ") + place.string();
  }
  if (!given.empty())
    fail("recipes: ", option, ": ", given, fs::exists(given) ? " is no folder" : " is not there",
         "; expected a folder with recipes, files *.json");
  fail("recipes: no folder ", looked, "; give ", option, " DIR");
}

}  // namespace exciton::apps
