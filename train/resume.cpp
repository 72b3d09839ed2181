#include "exciton/train/resume.hpp"

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

Recipe resumed_recipe(Recipe given, const Recipe& stored) {
  given = completed(std::move(given), stored);
  given.init = stored.init;
  const auto other = difference(given, stored);
  if (other)
    fail_with(Remedy::same_recipe, "train: resume: the run was started with ", other->path, ' ',
              other->b, ", now it is ", other->a);
  return given;
}

Recipe recipe_to_resume(Recipe given, const RunFolder& folder,
                        const std::optional<FoundCheckpoint>& start) {
  std::optional<Recipe> in_folder, trained;
  if (fs::exists(folder.recipe()))
    in_folder = Recipe::read(folder.recipe(), Recipe::Source::stored);
  if (start) {
    const Json meta = parse_json(start->checkpoint.meta, "checkpoint: " + start->path.string());
    check(meta.contains("recipe") && meta.contains("data"), "checkpoint: ", start->path.string(),
          ": not of a training run");
    trained = recipe_from(meta["recipe"], Recipe::Source::stored);
  }
  if (in_folder && trained) {
    const auto edited = difference(completed(*in_folder, *trained), *trained);
    if (edited)
      fail_with(Remedy::put_back, "train: resume: ", folder.recipe().string(),
                " does not go with its checkpoint: ", edited->path, " is ", edited->a,
                " there, but ", start->path.string(), " was trained with ", edited->b);
  }
  if (!in_folder && !trained) return given;
  return resumed_recipe(std::move(given), trained ? *trained : *in_folder);
}

}  // namespace exciton::train
