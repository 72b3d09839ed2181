#include "exciton/train/import.hpp"

#include <algorithm>

#include "exciton/core/error.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/core/suggest.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/formats.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/remedy.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {
namespace {

using interop::CleanNames;
using interop::Fit;
using interop::Layout;
using interop::Source;
using interop::WeightFile;

std::string placeholder(std::size_t i) { return "class " + std::to_string(i); }

/// A network without values, and where its tensors are in the file.
struct Candidate {
  Source source;
  nn::Model model;
  Layout layout;
  Fit fit;
};

/// The tensor of the file that holds an item of ours, or nullptr.
const interop::StoredTensor* stored(const interop::Item& item, const WeightFile& file,
                                    const CleanNames& names) {
  const auto found = std::ranges::find(names.names, item.theirs);
  return found == names.names.end()
             ? nullptr
             : &file.tensors[static_cast<std::size_t>(found - names.names.begin())];
}

/// `source` as the file has it: with its number of classes and of image channels.
Candidate candidate(const Source& source, const WeightFile& file, const CleanNames& names,
                    const std::vector<std::string>& set, std::int64_t image_size) {
  Recipe recipe;
  recipe.model = {source.model, source.options};
  std::vector<std::string> assignments;
  for (const std::string& one : set)
    assignments.push_back(one.starts_with("model.") ? one : "model." + one);
  Candidate out{source, {}, {}, {}};
  out.source.options = recipe.with(assignments).model.options;
  out.source.options.image_size = image_size;
  const nn::SkipInitialization values_are_stored;
  const auto make = [&] {
    // Among the holes that another network left, weights would take half as many pages again.
    out.model = {};
    release_cached_memory();
    out.model = nn::make_model(source.model, out.source.options);
    out.layout = interop::layout_of(*out.model.net, source.naming);
  };
  make();
  nn::ModelOptions adapted = out.source.options;
  for (const interop::Item& item : out.layout.items) {
    const interop::StoredTensor* there = stored(item, file, names);
    if (!there || there->shape.empty()) continue;
    if (&item == &out.layout.items.front() && there->shape.size() == 4 &&
        (there->shape[1] == 1 || there->shape[1] == 3))
      adapted.image_channels = there->shape[1];
    // The classifier is the last matrix; its outputs are the classes.
    if (item.tensor->rank() == 2 && there->shape[0] <= 1'000'000) adapted.classes = there->shape[0];
  }
  out.source.options = adapted;
  make();
  out.fit = interop::fit(out.layout, file, names);
  return out;
}

/// Two sources by which a file becomes the same network with the same input.
bool same_effect(const Source& a, const Source& b) {
  return a.model == b.model &&
         interop::options_text(a.options) == interop::options_text(b.options) &&
         a.naming.flipped_input == b.naming.flipped_input && a.normalization == b.normalization;
}

/// What our own files say of themselves; nothing in others.
std::optional<Source> described(const WeightFile& file) {
  const auto model = file.metadata.find("exciton.model"),
             options = file.metadata.find("exciton.options");
  if (model == file.metadata.end() || options == file.metadata.end()) return std::nullopt;
  const std::string who = "weights: " + file.path.string() + ": its metadata";
  const Json json = parse_json(options->second, who);
  Recipe recipe = recipe_from(Json{{"model", json}}, Recipe::Source::stored, who);
  Source out = interop::own_source(model->second, recipe.model.options);
  if (const auto to = file.metadata.find("exciton.names");
      to != file.metadata.end() && to->second != "exciton")
    out.naming = interop::source(to->second).naming;
  const auto mean = file.metadata.find("mean"), std = file.metadata.find("std");
  if (mean != file.metadata.end() && std != file.metadata.end()) {
    const auto numbers = [&](const std::string& text) {
      const Json list = parse_json(text, who);
      check(list.is_array(), who, ": mean and std must be lists of numbers");
      std::vector<double> values;
      for (const Json& value : list) {
        check(value.is_number(), who, ": mean and std must be lists of numbers");
        values.push_back(value.get<double>());
      }
      return values;
    };
    out.normalization = interop::Normalization{numbers(mean->second), numbers(std->second)};
  }
  return out;
}

std::vector<std::string> described_classes(const WeightFile& file) {
  const auto found = file.metadata.find("class_names");
  if (found == file.metadata.end()) return {};
  const Json list = parse_json(found->second, "weights: " + file.path.string() + ": class_names");
  std::vector<std::string> out;
  if (list.is_array())
    for (const Json& name : list) out.push_back(name.is_string() ? name.get<std::string>() : "");
  return out;
}

std::string with_options(const Source& source) {
  const std::string options = interop::options_text(source.options);
  return source.name + (options.empty() ? "" : " (" + options + ')');
}

/// The one that fits, of those that may.
Candidate choose(const WeightFile& file, const CleanNames& names, const ImportOptions& options) {
  const std::string who = "import: " + file.path.string() + ": ";
  const auto made = [&](const Source& source) {
    return candidate(source, file, names, options.set, options.image_size);
  };
  const auto only = [&](const Source& source) {
    check(options.model.empty() || options.model == source.model, who, source.name,
          " is of the network ", source.model, ", not of ", options.model);
    Candidate out = made(source);
    check(out.fit.complete(), who, "does not fit ", with_options(source), ": ", out.fit.text());
    return out;
  };
  if (!options.rules.empty()) {
    check(!options.model.empty(), who,
          "rules change the names of a network: say by model of which");
    Source own = interop::own_source(options.model, {});
    own.name = "the rules of " + options.rules.string();
    own.naming = interop::read_rules(options.rules);
    return only(own);
  }
  if (!options.from.empty() && options.from != "exciton")
    return only(interop::source(options.from));
  if (const auto own = described(file)) return only(*own);
  std::vector<Candidate> fitting;
  std::optional<Candidate> nearest;
  std::vector<std::string> models;
  const auto consider = [&](const Source& source) {
    Candidate one = made(source);
    if (one.fit.complete())
      fitting.push_back(std::move(one));
    else if (!nearest || one.fit.faults() < nearest->fit.faults())
      nearest = std::move(one);
  };
  for (const Source& source : interop::sources())
    if (source.cannot.empty() && options.from.empty() &&
        (options.model.empty() || source.model == options.model))
      consider(source);
  if (!options.model.empty()) consider(interop::own_source(options.model, {}));
  if (fitting.empty()) {
    check(nearest.has_value(), who,
          "nothing is known of its names; say which network it is, and give rules for its names");
    fail(who, "fits no source", options.model.empty() ? "" : " of " + options.model,
         "; the nearest is ", with_options(nearest->source), ": ", nearest->fit.text());
  }
  for (const Candidate& other : fitting)
    if (!same_effect(fitting.front().source, other.source)) {
      std::vector<std::string> all;
      for (const Candidate& one : fitting) all.push_back(with_options(one.source));
      fail(who, "fits several sources in names and shapes, which compute different things: ",
           listed(all), "; say which it is");
    }
  return std::move(fitting.front());
}

std::vector<std::string> class_names_of(const Candidate& chosen, const WeightFile& file,
                                        const ImportOptions& options,
                                        std::vector<std::string>& notes) {
  const auto count = static_cast<std::size_t>(chosen.source.options.classes);
  std::vector<std::string> names = options.class_names;
  if (names.empty()) names = described_classes(file);
  if (names.empty() && chosen.source.classes == "CIFAR's own") {
    if (count == 10) names = data::cifar10_format().class_names;
    if (count == 100) names = data::cifar100_format().class_names;
  }
  if (!names.empty()) {
    check(names.size() == count, "import: ", file.path.string(), ": has ", count,
          " outputs, there are ", names.size(), " names of classes");
    return names;
  }
  for (std::size_t i = 0; i < count; ++i) names.push_back(placeholder(i));
  notes.push_back(
      "Its " + std::to_string(count) +
      " classes have no names: any data of as many classes is taken to have them in this order" +
      (chosen.source.classes.empty() ? "" : " (" + chosen.source.classes + ")") +
      "; give their names");
  return names;
}

}  // namespace

bool are_placeholders(const std::vector<std::string>& class_names) {
  for (std::size_t i = 0; i < class_names.size(); ++i)
    if (class_names[i] != placeholder(i)) return false;
  return !class_names.empty();
}

std::vector<SourceFit> fits_of(const WeightFile& file, const std::string& model,
                               const std::vector<std::string>& set) {
  const CleanNames names = interop::clean_names(file);
  std::vector<SourceFit> out;
  const auto consider = [&](const Source& source) {
    const Candidate one = candidate(source, file, names, set, 0);
    out.push_back({source.name, source.model, interop::options_text(source.options), one.fit});
  };
  if (const auto own = described(file)) consider(*own);
  for (const Source& source : interop::sources())
    if (source.cannot.empty() && (model.empty() || source.model == model)) consider(source);
  if (!model.empty()) consider(interop::own_source(model, {}));
  std::ranges::stable_sort(out, {}, [](const SourceFit& f) { return f.fit.faults(); });
  return out;
}

Imported import_weights(const std::filesystem::path& path, const ImportOptions& options) {
  const auto file = interop::open_weights(path, {.key = options.key});
  const CleanNames names = interop::clean_names(*file);
  Candidate chosen = choose(*file, names, options);
  Imported out;
  out.source = chosen.source.name;
  out.tensors = static_cast<std::int64_t>(chosen.layout.items.size() + chosen.layout.biases.size());
  if (!names.prefix.empty())
    out.notes.push_back("Without the prefix " + names.prefix + " of all its names");
  if (!file->key.empty()) out.notes.push_back("Of the dictionary " + file->key);
  if (!file->skipped.empty())
    out.notes.push_back(
        std::to_string(file->skipped.size()) +
        " entries are no tensors and were left aside: " + shortened(listed(file->skipped), 200));
  interop::load(chosen.layout, *file, names);

  interop::Normalization normalization = options.normalization;
  if (normalization.mean.empty() && normalization.std.empty()) {
    check(chosen.source.normalization.has_value(), "import: ", path.string(), ": nothing says how ",
          out.source,
          " normalises images; give mean and deviation of red, green and blue in [0, 1]");
    normalization = *chosen.source.normalization;
  }
  const auto channels = static_cast<std::size_t>(chosen.source.options.image_channels);
  check(normalization.mean.size() == channels && normalization.std.size() == channels,
        "import: mean and deviation: expected ", channels, " numbers each, got ",
        normalization.mean.size(), " and ", normalization.std.size());

  Recipe& recipe = out.recipe;
  recipe.model = {chosen.source.model, chosen.source.options};
  const std::int64_t size = chosen.model.image_size;
  recipe.model.options.image_channels = 3;  // the data's, never the recipe's
  recipe.model.options.image_size = 0;
  recipe.data.normalize = {.automatic = false,
                           .from_dataset = false,
                           .mean = normalization.mean,
                           .std = normalization.std};
  if (const auto kind = file->metadata.find("data_kind"); kind != file->metadata.end())
    if (std::ranges::count(data::dataset_kinds(), kind->second) > 0)
      recipe.data.kind = kind->second;
  constexpr std::int64_t small = 64;  // images of data sets that have one size already
  if (size > small) {
    recipe.data.image_size = size;
    recipe.data.eval_resize = (size * 256 + 112) / 224;
  }
  Preprocessing& pre = out.preprocessing;
  pre.class_names = class_names_of(chosen, *file, options, out.notes);
  pre.image_size = size;
  pre.channels = static_cast<std::int64_t>(channels);
  pre.shorter_side = recipe.data.eval_resize;
  for (std::size_t c = 0; c < channels; ++c) {
    pre.mean[c] = static_cast<float>(normalization.mean[c]);
    pre.std[c] = static_cast<float>(normalization.std[c]);
  }
  check_readable(recipe);
  nn::set_training(*chosen.model.net, false);
  out.model = std::move(chosen.model);
  return out;
}

void write_run(const std::filesystem::path& path, const Imported& imported) {
  const RunFolder folder(path);
  check_or(Remedy::another_folder, !folder.occupied(), "import: ", path.string(), " is not empty");
  const FolderLock lock(path, "import");
  const Json meta{{"recipe", to_json(imported.recipe)},
                  {"data", to_json(imported.preprocessing)},
                  {"position", {{"epoch", 0}, {"batch", 0}}},
                  {"imported", imported.source}};
  Checkpoint checkpoint;
  checkpoint.meta = to_text(meta);
  save_model(*imported.model.net, checkpoint);
  folder.begin_with(checkpoint, imported.recipe);
}

}  // namespace exciton::train
