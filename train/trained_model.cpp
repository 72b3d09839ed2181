#include "exciton/train/trained_model.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::train {
namespace fs = std::filesystem;

optim::EmaOptions ema_options(const Recipe& recipe) {
  return {.decay = recipe.ema_decay, .warmup = recipe.ema_warmup};
}

nn::Model make_model(const Recipe& recipe, const Preprocessing& preprocessing) {
  nn::ModelOptions options = recipe.model.options;
  const auto classes = static_cast<std::int64_t>(preprocessing.class_names.size());
  check(options.classes == 0 || options.classes == classes,
        "recipe: model.classes: ", options.classes, ", but the data has ", classes,
        "; leave it out or set it to 0");
  options.classes = classes;
  options.image_channels = preprocessing.channels;
  options.image_size = preprocessing.image_size;
  return nn::make_model(recipe.model.name, options, recipe.seed);
}

TrainedModel load(const fs::path& run_or_checkpoint, const Warn& warn) {
  const FoundCheckpoint found = open_checkpoint(run_or_checkpoint, warn, Keep::weights);
  const Json meta = parse_json(found.checkpoint.meta, "checkpoint: " + found.path.string());
  check(meta.contains("recipe") && meta.contains("data") && meta.contains("position"),
        "checkpoint: ", found.path.string(), ": not of a training run");
  TrainedModel out;
  out.checkpoint = found.path;
  const std::string who = "checkpoint: " + found.path.string();
  out.recipe = recipe_from(meta["recipe"], Recipe::Source::stored, who + ": recipe");
  check(!out.recipe.detects(), who,
        ": is a detector; train, eval and predict take those, all else takes classifiers");
  out.preprocessing = preprocessing_from(meta["data"], found.path);
  out.position = {value_at<std::int64_t>(meta, "position.epoch", who),
                  value_at<std::int64_t>(meta, "position.batch", who)};
  {
    const MemoryLimit limit = limit_of_network(found.checkpoint, who, std::size_t{64} << 20);
    const nn::SkipInitialization weights_are_stored;
    out.model = make_model(out.recipe, out.preprocessing);
  }
  adopt_model(found.checkpoint, *out.model.net, found.path);
  if (out.recipe.ema_decay > 0) {
    optim::Ema ema(nn::parameters(*out.model.net), nn::buffers(*out.model.net),
                   ema_options(out.recipe));
    load_tensors(found.checkpoint, "average", ema.state(), found.path);
    ema.swap();
  }
  nn::set_training(*out.model.net, false);
  return out;
}

data::Loader evaluation_loader(const Recipe& recipe, const Preprocessing& preprocessing,
                               std::shared_ptr<const data::Dataset> set,
                               const EvaluationLoading& loading) {
  data::LoaderOptions options;
  options.batch = std::min(loading.batch > 0 ? loading.batch : recipe.data.batch, set->size());
  options.shuffle = loading.shuffle;
  options.rank = loading.rank;
  options.ranks = loading.ranks;
  options.drop_last = false;
  options.workers = static_cast<int>(recipe.data.workers);
  options.dtype = activation_dtype(recipe.dtype);
  options.skip_errors = recipe.data.skip_errors;
  return {std::move(set), preprocessing.evaluation(), options};
}

data::Loader evaluation_loader(const TrainedModel& trained,
                               std::shared_ptr<const data::Dataset> set,
                               const EvaluationLoading& loading) {
  return evaluation_loader(trained.recipe, trained.preprocessing, std::move(set), loading);
}

}  // namespace exciton::train
