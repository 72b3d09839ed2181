#include "train/run_state.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "core/error.hpp"
#include "core/memory.hpp"

namespace exciton::train {
namespace fs = std::filesystem;

namespace {

Json to_json(const SetContents& set) {
  return {{"images", set.images}, {"fingerprint", set.fingerprint}};
}

std::optional<SetContents> contents_in(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  const Json& set = json.at(key);
  return SetContents{set.at("images").get<std::int64_t>(),
                     set.at("fingerprint").get<std::string>()};
}

/// How two lists of classes differ; "" when they do not.
std::string difference(const std::vector<std::string>& before,
                       const std::vector<std::string>& now) {
  if (before.size() != now.size())
    return "it had " + std::to_string(before.size()) + " classes, now there are " +
           std::to_string(now.size());
  for (std::size_t i = 0; i < now.size(); ++i)
    if (before[i] != now[i])
      return "class " + std::to_string(i) + " was \"" + before[i] + "\", now it is \"" + now[i] +
             '"';
  return "";
}

/// The same of the images of a split.
std::string difference(const std::optional<SetContents>& before,
                       const std::optional<SetContents>& now, const std::string& split) {
  if (!before || !now) return "";
  if (before->images != now->images)
    return "it had " + std::to_string(before->images) + ' ' + split + " images, now there are " +
           std::to_string(now->images);
  if (before->fingerprint != now->fingerprint)
    return "the " + split + " images have other names, labels or pixels than it had";
  return "";
}

}  // namespace

SetContents contents_of(const data::Dataset& set) {
  std::ostringstream out;
  out << std::hex << std::setw(16) << std::setfill('0') << set.fingerprint();
  return {set.size(), out.str()};
}

Json DataFacts::to_json() const {
  Json out{{"class_names", class_names},
           {"image_size", image_size},
           {"shorter_side", shorter_side},
           {"channels", channels},
           {"mean", mean},
           {"std", std}};
  if (train) out["train"] = train::to_json(*train);
  if (test) out["test"] = train::to_json(*test);
  return out;
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
    out.train = contents_in(json, "train");
    out.test = contents_in(json, "test");
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

DataFacts facts_of(const data::Dataset& train, const DataRecipe& recipe,
                   const std::optional<DataFacts>& stored) {
  constexpr std::int64_t images_for_statistics = 10'000;
  const NormalizeRecipe& normalize = recipe.normalize;
  DataFacts out;
  out.class_names = train.class_names();
  out.image_size = recipe.image_size > 0 ? recipe.image_size : train.image_size();
  if (recipe.image_size > 0) out.shorter_side = std::max(recipe.image_size, recipe.eval_resize);
  out.channels = train.channels();
  check(out.image_size > 0, "train: ", train.description(),
        ": wants square images of one size; set data.image_size to resize them");
  if (stored) {
    out.mean = stored->mean;
    out.std = stored->std;
  } else if (normalize.from_dataset) {
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

void check_same_data(const DataFacts& stored, const DataFacts& now, const fs::path& checkpoint) {
  std::string what = difference(stored.class_names, now.class_names);
  if (what.empty() && stored.channels != now.channels)
    what = "its images had " + std::to_string(stored.channels) + " channels, now they have " +
           std::to_string(now.channels);
  if (what.empty() && stored.image_size != now.image_size)
    what = "its images had side " + std::to_string(stored.image_size) + ", now " +
           std::to_string(now.image_size);
  if (what.empty()) what = difference(stored.train, now.train, "train");
  if (what.empty()) what = difference(stored.test, now.test, "validation or test");
  check(what.empty(), "train: --resume: ", checkpoint.string(),
        " was trained on other data: ", what,
        "; give the folder of its own with --data, or start another run with another --out");
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

data::LoaderOptions evaluation_loading(const Recipe& recipe, const data::Dataset& set,
                                       std::int64_t batch) {
  data::LoaderOptions out;
  out.batch = std::min(batch > 0 ? batch : recipe.data.batch, set.size());
  out.shuffle = out.drop_last = false;
  out.workers = static_cast<int>(recipe.data.workers);
  out.dtype = activation_dtype(recipe.dtype);
  out.skip_errors = recipe.data.skip_errors;
  return out;
}

}  // namespace exciton::train
