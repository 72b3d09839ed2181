#include "exciton/train/resume.hpp"

#include <algorithm>

#include "exciton/train/changes_json.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"
#include "exciton/train/run.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

/// How `given` (a) differs from `stored` (b) in what must not change on a resume.
std::optional<Difference> difference(const Recipe& given, const Recipe& stored) {
  Recipe like = given;  // with everything that may change taken from the stored one
  like.paper = stored.paper;
  like.data.dir = stored.data.dir;
  like.data.workers = stored.data.workers;
  like.data.skip_errors = stored.data.skip_errors;
  like.threads = stored.threads;
  like.epochs = stored.epochs;
  like.checkpoint = stored.checkpoint;
  like.log = stored.log;
  like.init = stored.init;  // what a run began with is history
  return first_difference(to_json(like), to_json(stored));
}

/// With what only the first start could find out taken from the stored recipe.
Recipe completed(Recipe given, const Recipe& stored) {
  if (given.data.kind == "auto") given.data.kind = stored.data.kind;
  if (given.data.dir.empty()) given.data.dir = stored.data.dir;
  if (given.model.options.classes == 0) given.model.options.classes = stored.model.options.classes;
  if (given.data.normalize.automatic) given.data.normalize = stored.data.normalize;
  if (given.data.validation.by == data::Validation::By::automatic)
    given.data.validation = stored.data.validation;
  return given;
}

}  // namespace

std::optional<Recipe> trained_recipe(const std::optional<FoundCheckpoint>& start) {
  if (!start) return std::nullopt;
  const Json meta = parse_json(start->checkpoint.meta, "checkpoint: " + start->path.string());
  check(meta.contains("recipe") && meta.contains("data"), "checkpoint: ", start->path.string(),
        ": not of a training run");
  return recipe_from(meta["recipe"], Recipe::Source::stored);
}

namespace {

Recipe resumed(Recipe given, const Recipe& stored, bool change) {
  given = completed(std::move(given), stored);
  given.init = stored.init;
  Recipe like = given;  // but for what may be changed
  if (change) {
    std::vector<Change> meant;
    for (Change& one : changes_between(given, stored))
      if (can_change(one.key)) meant.push_back(std::move(one));
    like = changed(given, meant);
  }
  if (const auto other = difference(like, stored))
    fail_with(can_change(other->path) ? Remedy::change_course : Remedy::same_recipe,
              "train: resume: the run was started with ", other->path, ' ', other->b,
              ", now it is ", other->a);
  return given;
}

/// Whether the run changed its course from what `before` says, and was killed before it told.
bool explained_by_changes(const Recipe& before, const Recipe& trained, const FoundCheckpoint& at) {
  const Json meta = parse_json(at.checkpoint.meta, "checkpoint: " + at.path.string());
  std::vector<Change> made;
  if (meta.contains("changes"))
    for (const Json& one : meta["changes"]) made.push_back(change_from(one, "checkpoint: changes"));
  std::vector<Change> explained;
  for (Change& other : changes_between(before, trained))
    if (std::ranges::any_of(made, [&](const Change& change) {
          return change.key == other.key && change.to == other.to;
        }))
      explained.push_back(std::move(other));
  return !difference(changed(before, explained), trained);
}

}  // namespace

Recipe resumed_recipe(Recipe given, const Recipe& stored) {
  return resumed(std::move(given), stored, false);
}

Recipe recipe_to_resume(Recipe given, const RunFolder& folder,
                        const std::optional<FoundCheckpoint>& start, bool change) {
  std::optional<Recipe> in_folder;
  if (fs::exists(folder.recipe()))
    in_folder = Recipe::read(folder.recipe(), Recipe::Source::stored);
  const std::optional<Recipe> trained = trained_recipe(start);
  if (in_folder && trained && !change) {
    const auto edited = difference(completed(*in_folder, *trained), *trained);
    if (edited && explained_by_changes(*in_folder, *trained, *start)) {
      // Whoever resumes without a recipe of their own has given the one in the folder.
      if (!difference(completed(given, *trained), completed(*in_folder, *trained)))
        given = *trained;
    } else if (edited) {
      fail_with(Remedy::put_back, "train: resume: ", folder.recipe().string(),
                " does not go with its checkpoint: ", edited->path, " is ", edited->a,
                " there, but ", start->path.string(), " was trained with ", edited->b);
    }
  }
  if (!in_folder && !trained) return given;
  return resumed(std::move(given), trained ? *trained : *in_folder, change);
}

}  // namespace exciton::train
