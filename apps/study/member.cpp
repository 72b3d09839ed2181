#include "apps/study/member.hpp"

#include <algorithm>
#include <array>

#include "apps/study/run_log.hpp"
#include "apps/terminal/hints.hpp"
#include "apps/terminal/train_report.hpp"
#include "exciton/core/error.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/resume.hpp"
#include "exciton/train/run.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;

bool train_member(train::Recipe recipe, const fs::path& out) {
  const train::RunFolder folder(out, warn);
  if (fs::exists(folder.recipe())) {
    const train::Json begun = train::read_json(folder.recipe());
    const train::Recipe stored = train::recipe_from(begun, train::Recipe::Source::stored);
    recipe = train::as_begun(recipe, begun);
    train::resumed_recipe(recipe, stored);  // refuses a folder of another recipe
    const std::vector<train::CheckpointFile> files = folder.checkpoint_files();
    if (stored.epochs == recipe.epochs && !files.empty() &&
        files.front().position == train::Position{recipe.epochs, 0})
      return true;
  }
  return train_and_report(recipe, {.out = out, .resume = true});
}

std::vector<train::Json> log_of(const fs::path& member, std::int64_t epochs) {
  const train::RunFolder folder(member, warn);
  const std::vector<train::Json> log = watched_log(folder);
  const auto is_whole = [](const train::Json& line) {
    return std::ranges::all_of(
        std::array{"train_loss", "train_top1", "test_loss", "test_top1", "seconds"},
        [&](const char* key) { return line.contains(key) && line[key].is_number(); });
  };
  check(static_cast<std::int64_t>(log.size()) == epochs && std::ranges::all_of(log, is_whole),
        "study: ", folder.log().string(), " lacks some of its ", epochs,
        " lines, of which the table is made; delete the folder ", member.string(),
        " and give the command again: it is then trained anew");
  return log;
}

}  // namespace exciton::apps
