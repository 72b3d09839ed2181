#include "apps/run_state.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/memory.hpp"

namespace exciton::apps {
namespace fs = std::filesystem;

Json DataFacts::to_json() const {
  return {{"class_names", class_names},
          {"image_size", image_size},
          {"shorter_side", shorter_side},
          {"channels", channels},
          {"mean", mean},
          {"std", std}};
}

DataFacts DataFacts::from_json(const Json& json, const fs::path& path) {
  try {
    DataFacts out;
    out.class_names = json.at("class_names").get<std::vector<std::string>>();
    out.image_size = json.at("image_size").get<std::int64_t>();
    out.shorter_side = json.value("shorter_side", std::int64_t{0});
    out.channels = json.at("channels").get<std::int64_t>();
    out.mean = json.at("mean").get<std::array<float, 3>>();
    out.std = json.at("std").get<std::array<float, 3>>();
    check(!out.class_names.empty() && out.image_size > 0 && out.image_size <= 65536 &&
              (out.shorter_side == 0 ||
               (out.shorter_side >= out.image_size && out.shorter_side <= 65536)) &&
              (out.channels == 1 || out.channels == 3),
          "checkpoint: ", path.string(), ": no usable description of its data");
    return out;
  } catch (const Json::exception&) {
    fail("checkpoint: ", path.string(), ": no usable description of its data");
  }
}

data::Augment DataFacts::evaluation() const {
  data::Augment out;
  if (shorter_side > 0) {
    out.size = image_size;
    out.shorter_side = shorter_side;
  }
  out.mean = mean;
  out.std = std;
  return out;
}

DataFacts facts_of(const data::Dataset& train, const DataRecipe& recipe) {
  constexpr std::int64_t images_for_statistics = 10'000;
  const NormalizeRecipe& normalize = recipe.normalize;
  DataFacts out;
  out.class_names = train.class_names();
  out.image_size = recipe.image_size > 0 ? recipe.image_size : train.image_size();
  if (recipe.image_size > 0) out.shorter_side = std::max(recipe.image_size, recipe.eval_resize);
  out.channels = train.channels();
  check(out.image_size > 0, "train: ", train.description(),
        ": wants square images of one size; set data.image_size to resize them");
  if (normalize.from_dataset) {
    const data::ChannelStats stats = data::channel_stats(train, images_for_statistics);
    out.mean = stats.mean;
    out.std = stats.std;
  } else {
    check(static_cast<std::int64_t>(normalize.mean.size()) == out.channels,
          "recipe: data.normalize: mean and std want ", out.channels, " channels, got ",
          normalize.mean.size());
    for (std::size_t c = 0; c < normalize.mean.size(); ++c) {
      out.mean[c] = static_cast<float>(normalize.mean[c]);
      out.std[c] = static_cast<float>(normalize.std[c]);
    }
  }
  return out;
}

optim::EmaOptions ema_options(const Recipe& recipe) {
  return {.decay = recipe.ema_decay, .warmup = recipe.ema_warmup};
}

nn::Model make_model(const Recipe& recipe, const DataFacts& facts) {
  nn::ModelOptions options = recipe.model.options;
  const auto classes = static_cast<std::int64_t>(facts.class_names.size());
  check(options.classes == 0 || options.classes == classes,
        "recipe: model.classes: ", options.classes, ", but the data has ", classes,
        "; leave it out or set it to 0");
  options.classes = classes;
  options.image_channels = facts.channels;
  options.image_size = facts.image_size;
  return nn::make_model(recipe.model.name, options, recipe.seed);
}

TrainedModel load_trained(const fs::path& run_or_checkpoint) {
  FoundCheckpoint found = open_checkpoint(run_or_checkpoint);
  const Json& meta = found.checkpoint.meta;
  check(meta.contains("recipe") && meta.contains("data") && meta.contains("position"),
        "checkpoint: ", found.path.string(), ": not of a training run");
  TrainedModel out;
  out.checkpoint = found.path;
  const std::string who = "checkpoint: " + found.path.string();
  out.recipe = Recipe::from_json(meta["recipe"], Recipe::Source::stored, who + ": recipe");
  out.facts = DataFacts::from_json(meta["data"], found.path);
  out.position = {value_at<std::int64_t>(meta, "position.epoch", who),
                  value_at<std::int64_t>(meta, "position.batch", who)};
  {
    // A recipe of a few bytes can describe a network of any size: no larger one is built than the
    // stored weights fill, with what is made on the way.
    constexpr std::size_t beside = std::size_t{64} << 20;
    std::size_t stored = 0;
    for (const SavedTensor& t : found.checkpoint.tensors) stored += t.tensor.bytes();
    const MemoryLimit limit(4 * stored + beside,
                            who +
                                ": of another model: its recipe describes a network far larger "
                                "than the weights in it, " +
                                std::to_string(stored) + " bytes");
    out.model = make_model(out.recipe, out.facts);
  }
  load_model(found.checkpoint, *out.model.net, found.path);
  if (out.recipe.ema_decay > 0) {
    optim::Ema ema(nn::parameters(*out.model.net), nn::buffers(*out.model.net),
                   ema_options(out.recipe));
    load_tensors(found.checkpoint, "average", ema.state(), found.path);
    ema.swap();
  }
  nn::set_training(*out.model.net, false);
  return out;
}

}  // namespace exciton::apps
