#include "exciton/train/detection/detector.hpp"

#include <algorithm>

#include "exciton/core/memory.hpp"
#include "exciton/nn/layers.hpp"
#include "exciton/train/checkpoint.hpp"
#include "exciton/train/evaluate.hpp"
#include "exciton/train/preprocessing_json.hpp"
#include "exciton/train/recipe_json.hpp"

namespace exciton::train {
namespace fs = std::filesystem;
namespace det = nn::detection;
namespace {

/// What was found in image number `n` of a batch, in its own pixels.
void add_found(const det::Detections& found, data::Size input, data::Size own, std::int64_t image,
               std::vector<CocoDetection>& out) {
  const double right = static_cast<double>(own.width) / static_cast<double>(input.width);
  const double down = static_cast<double>(own.height) / static_cast<double>(input.height);
  for (std::size_t i = 0; i < found.boxes.size(); ++i) {
    const det::Box& b = found.boxes[i];
    const double x = static_cast<double>(b.x1) * right, y = static_cast<double>(b.y1) * down;
    out.push_back(
        {image,
         found.labels[i],
         {x, y, static_cast<double>(b.x2) * right - x, static_cast<double>(b.y2) * down - y},
         static_cast<double>(found.scores[i])});
  }
}

std::optional<Recipe> recipe_in(const FoundCheckpoint& found, const std::string& who) {
  const Json meta = parse_json(found.checkpoint.meta, who);
  if (!meta.contains("recipe")) return std::nullopt;
  return recipe_from(meta["recipe"], Recipe::Source::stored, who + ": recipe");
}

}  // namespace

std::unique_ptr<det::FasterRcnn> make_detector(const Recipe& recipe,
                                               const Preprocessing& preprocessing) {
  nn::ModelOptions options = recipe.model.options;
  options.image_channels = 3;
  det::FasterRcnnOptions own = recipe.detection.net;
  own.classes = static_cast<std::int64_t>(preprocessing.class_names.size());
  constexpr std::uint64_t stream = 1;  // the backbone is drawn from stream 0 of the seed
  Generator init(recipe.seed, stream);
  auto net = std::make_unique<det::FasterRcnn>(
      nn::make_model(recipe.model.name, options, recipe.seed), own, init);
  if (recipe.detection.frozen_norms) det::make_norms_constant(net->backbone());
  return net;
}

bool is_detector(const fs::path& run_or_checkpoint) {
  if (fs::is_directory(run_or_checkpoint)) {  // without reading weights
    const RunFolder folder(run_or_checkpoint);
    if (!folder.is_run()) return false;
    const std::optional<Json> recipe = try_json(folder.stored_recipe().text);
    return recipe && recipe->is_object() && recipe->value("task", Json()) == "detection";
  }
  const FoundCheckpoint found = open_checkpoint(run_or_checkpoint, {}, Keep::weights);
  const auto recipe = recipe_in(found, "checkpoint: " + found.path.string());
  return recipe && recipe->detects();
}

TrainedDetector load_detector(const fs::path& run_or_checkpoint, const Warn& warn) {
  const FoundCheckpoint found = open_checkpoint(run_or_checkpoint, warn, Keep::weights);
  const std::string who = "checkpoint: " + found.path.string();
  const Json meta = parse_json(found.checkpoint.meta, who);
  const auto recipe = recipe_in(found, who);
  check(recipe && recipe->detects() && meta.contains("data") && meta.contains("position"), who,
        ": not of a detector");
  TrainedDetector out{found.path,
                      *recipe,
                      preprocessing_from(meta["data"], found.path),
                      {value_at<std::int64_t>(meta, "position.epoch", who),
                       value_at<std::int64_t>(meta, "position.batch", who)},
                      nullptr};
  {
    constexpr std::size_t beside = std::size_t{128} << 20;  // the classifier of the backbone, too
    const MemoryLimit limit = limit_of_network(found.checkpoint, who, beside);
    const nn::SkipInitialization weights_are_stored;
    out.net = make_detector(out.recipe, out.preprocessing);
  }
  adopt_model(found.checkpoint, *out.net, found.path);
  nn::set_training(*out.net, false);
  return out;
}

data::DetectionTransform transform_of(const Recipe& recipe, const Preprocessing& preprocessing,
                                      bool flip) {
  return {.min_size = recipe.detection.min_size,
          .max_size = recipe.detection.max_size,
          .flip = flip,
          .mean = preprocessing.mean,
          .std = preprocessing.std};
}

data::DetectionLoader detection_loader(const Recipe& recipe, const Preprocessing& preprocessing,
                                       std::shared_ptr<const data::DetectionSet> set,
                                       std::int64_t batch) {
  data::DetectionLoaderOptions options;
  options.batch = std::min(batch > 0 ? batch : recipe.data.batch, set->size());
  options.shuffle = false;
  options.workers = static_cast<int>(recipe.data.workers);
  options.skip_errors = recipe.data.skip_errors;
  return {std::move(set), transform_of(recipe, preprocessing), options};
}

std::vector<det::Objects> objects_of(const data::DetectionBatch& batch) {
  std::vector<det::Objects> out(batch.objects.size());
  for (std::size_t n = 0; n < out.size(); ++n)
    for (const auto& [box, label] : batch.objects[n]) {
      const auto f = [](double x) { return static_cast<float>(x); };
      const det::Box own{f(box.left), f(box.top), f(box.left + box.width), f(box.top + box.height)};
      // A sliver of a pixel may be nothing once it is rounded.
      if (!(own.width() > 0 && own.height() > 0)) continue;
      out[n].boxes.push_back(own);
      out[n].labels.push_back(label);
    }
  return out;
}

std::vector<det::ImageSize> sizes_of(const data::DetectionBatch& batch) {
  std::vector<det::ImageSize> out;
  for (const data::Size& size : batch.sizes) out.push_back({size.height, size.width});
  return out;
}

DetectionResult evaluate_detector(det::FasterRcnn& net, data::DetectionLoader& loader,
                                  const data::DetectionSet& set,
                                  const std::function<bool(std::int64_t)>& each) {
  const nn::EvaluationMode mode(net);
  const Tape::Pause no_tape;
  DetectionResult out;
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    const auto found = net.detect(batch->images, sizes_of(*batch));
    for (std::size_t n = 0; n < found.size(); ++n)
      add_found(found[n], batch->sizes[n], set.image(batch->indices[n]).size, batch->indices[n],
                out.found);
    out.images += std::ssize(found);
    out.skipped += std::ssize(batch->skipped);
    for (const std::string& reason : batch->skipped)
      if (out.skipped_reasons.size() < Evaluation::most_named)
        out.skipped_reasons.push_back(reason);
    if (each && !each(out.images + out.skipped)) return out;
  }
  out.metrics = coco_metrics(set.annotations(), out.found);
  return out;
}

std::vector<CocoDetection> detect(const TrainedDetector& trained, const data::Image& image) {
  Tensor input = data::detection_input(image, transform_of(trained.recipe, trained.preprocessing));
  const data::Size size{input.dim(0), input.dim(1)};
  const auto found = trained.net->detect(data::padded_batch({input}), {{size.height, size.width}});
  std::vector<CocoDetection> out;
  add_found(found.front(), size, {image.height, image.width}, 0, out);
  return out;
}

}  // namespace exciton::train
