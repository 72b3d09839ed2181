#include "exciton/train/fine_tuning.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "exciton/core/error.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/balance.hpp"
#include "exciton/train/import.hpp"
#include "exciton/train/recipe_json.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace {

bool is_own(const std::string& weights) {
  return fs::is_directory(weights) || fs::path(weights).extension() == ".ckpt";
}

/// Every parameter and statistic by name; not the places of random streams.
std::map<std::string, Tensor*> tensors_of(nn::Module& net) {
  std::map<std::string, Tensor*> out;
  for (const auto& [name, parameter] : nn::parameters(net)) out[name] = &parameter->mutable_value();
  for (const auto& [name, tensor] : nn::buffers(net))
    if (tensor->dtype() != DType::i64) out[name] = tensor;
  return out;
}

/// The weights [O, in, h, w] of the first convolution for images of another number of channels.
Tensor for_channels(const Tensor& weight, std::int64_t channels) {
  const std::int64_t outputs = weight.dim(0), own = weight.dim(1),
                     pixels = weight.dim(2) * weight.dim(3);
  Tensor out = Tensor::zeros({outputs, channels, weight.dim(2), weight.dim(3)});
  const float* from = weight.data<float>();
  float* to = out.data<float>();
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t c = 0; c < std::max(own, channels); ++c)
      for (std::int64_t p = 0; p < pixels; ++p) {
        const float value = from[(o * own + std::min(c, own - 1)) * pixels + p];
        to[(o * channels + std::min(c, channels - 1)) * pixels + p] +=
            channels > own ? value / static_cast<float>(channels) : value;
      }
  return out;
}

}  // namespace

Initial load_initial(const std::string& weights, const std::string& from, const std::string& model,
                     const Warn& warn) {
  if (is_own(weights)) {
    check(from.empty(), "init: ", weights,
          " is a run of Exciton; a source is for files of other programs");
    TrainedModel trained = load(weights, warn);
    return {trained.checkpoint.string(), trained.recipe.model, trained.preprocessing,
            std::move(trained.model)};
  }
  Imported imported = import_weights(weights, {.model = model, .from = from});
  return {imported.source + " in " + weights, imported.recipe.model, imported.preprocessing,
          std::move(imported.model)};
}

interop::Normalization normalization_for(const Preprocessing& initial, std::int64_t channels) {
  interop::Normalization out;
  const auto own = static_cast<std::size_t>(initial.channels);
  double mean = 0, std = 0;
  for (std::size_t c = 0; c < own; ++c) {
    mean += static_cast<double>(initial.mean[c]) / static_cast<double>(own);
    std += static_cast<double>(initial.std[c]) / static_cast<double>(own);
  }
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const bool same = channels == initial.channels;
    out.mean.push_back(same ? static_cast<double>(initial.mean[c]) : mean);
    out.std.push_back(same ? static_cast<double>(initial.std[c]) : std);
  }
  return out;
}

std::string classifier_of(nn::Module& net) {
  struct Last final : nn::Visitor {
    void enter(const std::string& name, nn::Module& m) override {
      if (dynamic_cast<nn::Linear*>(&m)) found = name;
    }
    std::string found;
  };
  Last last;
  last.walk(net);
  return last.found;
}

namespace {

/// Errors: another network than the recipe's, or one that computes something else in the same
/// shapes.
void check_same_network(const Initial& initial, const Recipe& recipe, const std::string& who) {
  check(initial.model.name == recipe.model.name, who, ": is a ", initial.model.name,
        ", the recipe says ", recipe.model.name);
  const auto comparable = [](ModelRecipe model) {
    model.options.classes = 0;
    model.options.dropout = -1;
    Recipe out;
    out.model = std::move(model);
    return to_json(out)["model"];
  };
  const Json theirs = comparable(initial.model), ours = comparable(recipe.model);
  if (const auto other = first_difference(theirs, ours))
    fail(who, ": was trained with model.", other->path, ' ', other->a, ", the recipe says ",
         other->b, ", and would compute something else; set it to the same");
}

/// Copies all of `net` that is not left out. Returns how many tensors that were.
std::int64_t copy_tensors(const Initial& initial, nn::Module& net, std::int64_t channels,
                          const std::string& who, const std::string& left_out = "") {
  const auto from = tensors_of(*initial.net.net), into = tensors_of(net);
  std::int64_t copied = 0;
  for (const auto& [name, tensor] : into) {
    if (!left_out.empty() && name.starts_with(left_out)) continue;
    const auto found = from.find(name);
    check(found != from.end(), who, ": has no ", name);
    const Tensor& value = *found->second;
    const bool first = value.rank() == 4 && tensor->rank() == 4 &&
                       value.dim(1) == initial.preprocessing.channels &&
                       tensor->dim(1) == channels && value.dim(1) != tensor->dim(1);
    if (first)
      tensor->copy_from(for_channels(value, channels));
    else
      check(value.shape() == tensor->shape(), who, ": ", name, " is ", value.shape(),
            ", the recipe's network has ", tensor->shape());
    if (!first) tensor->copy_from(value);
    ++copied;
  }
  return copied;
}

}  // namespace

std::vector<std::string> begin_backbone_with(const Initial& initial, const Recipe& recipe,
                                             const Preprocessing& now, nn::Module& backbone) {
  const std::string who = "init: " + initial.described;
  check_same_network(initial, recipe, who);
  const std::int64_t copied = copy_tensors(initial, backbone, now.channels, who);
  return {"The backbone begins with " + std::to_string(copied) + " tensors of " +
          initial.described + "; its classifier is not used"};
}

std::vector<std::string> begin_with(const Initial& initial, const Recipe& recipe,
                                    const Preprocessing& now, nn::Module& net) {
  const std::string who = "init: " + initial.described;
  check_same_network(initial, recipe, who);
  std::vector<std::string> notes;
  const std::string head = classifier_of(net) + '.';
  const bool same_names = initial.preprocessing.class_names == now.class_names;
  const bool keeps = recipe.init.head == "keep" || (recipe.init.head == "auto" && same_names);
  check(recipe.init.head != "keep" ||
            initial.preprocessing.class_names.size() == now.class_names.size(),
        who, ": has ", initial.preprocessing.class_names.size(), " classes, the data ",
        now.class_names.size(), "; init.head keep cannot be followed");
  const std::int64_t copied = copy_tensors(initial, net, now.channels, who, keeps ? "" : head);
  notes.push_back("Begins with " + std::to_string(copied) + " tensors of " + initial.described);
  notes.push_back(keeps
                      ? "The classifier is kept: its classes are the data's"
                      : "The classifier is new: " +
                            std::string(recipe.init.head == "new" ? "init.head says so"
                                                                  : "the classes are other ones"));
  if (initial.preprocessing.channels != now.channels)
    notes.push_back(std::string("The first convolution, made for ") +
                    (initial.preprocessing.channels == 3 ? "colour" : "grey") + " images, was " +
                    (now.channels == 1 ? "summed over its inputs"
                                       : "repeated for each colour and divided by their number"));
  return notes;
}

Recipe fine_tuning_recipe(const Initial& initial, const data::Dataset& train) {
  Recipe r;
  r.model = initial.model;
  r.model.options.classes = 0;
  const Preprocessing& own = initial.preprocessing;
  const bool as_they_come = own.shorter_side == 0 && train.image_size() == own.image_size;
  if (!as_they_come) {
    r.data.image_size = own.image_size;
    r.data.eval_resize = own.shorter_side;
  }
  constexpr std::int64_t small = 96;
  if (own.image_size <= small) {
    r.data.augment.pad = own.image_size / 8;
  } else {
    r.data.augment.random_resized_crop.scale_low = 0.35;
  }
  r.data.augment.flip = true;
  r.data.batch = 32;
  r.optimizer.name = "sgd";
  r.optimizer.momentum = 0.9;
  r.optimizer.nesterov = true;
  r.optimizer.weight_decay = 5e-4;
  r.schedule.name = "cosine";
  r.schedule.lr = 0.01;
  r.schedule.warmup_epochs = 1;
  r.parameter_groups = {{classifier_of(*initial.net.net) + ".*", 10, 1}};
  r.label_smoothing = 0.1;
  r.epochs = 30;
  const auto [least, most] = std::ranges::minmax(class_counts(train));
  if (2 * most > 3 * least && least > 0) r.class_weights.by = ClassWeightsRecipe::By::balanced;
  return r;
}

std::vector<optim::ParameterGroup> with_layer_decay(std::vector<optim::ParameterGroup> own,
                                                    nn::Module& net, double decay) {
  if (decay == 1) return own;
  // By the first part of the name, or the first two within a list.
  std::vector<std::string> layers;
  const auto parameters = nn::parameters(net);
  const bool stages = std::ranges::any_of(
      parameters, [](const nn::NamedParameter& p) { return p.name.starts_with("stage1."); });
  std::vector<std::string> stem;
  for (const auto& [name, parameter] : parameters) {
    const auto dot = name.find('.');
    std::string layer = name.substr(0, dot);
    if (stages && layers.empty() && !layer.starts_with("stage")) {
      if (std::ranges::count(stem, layer) == 0) stem.push_back(layer);
      continue;
    }
    const bool listed = !stages && dot != std::string::npos && dot + 1 < name.size() &&
                        std::isdigit(static_cast<unsigned char>(name[dot + 1]));
    if (listed) layer = name.substr(0, name.find('.', dot + 1));
    if (layers.empty() || layers.back() != layer) layers.push_back(layer);
  }
  const std::size_t head = layers.size();  // the last layer has the factor 1
  for (std::size_t i = 0; i < layers.size(); ++i)
    own.push_back({layers[i] + ".*", std::pow(decay, static_cast<double>(head - 1 - i)), 1});
  for (const std::string& layer : stem)
    own.push_back({layer + ".*", std::pow(decay, static_cast<double>(head)), 1});
  return own;
}

}  // namespace exciton::train
