/// A trained detector, and what it finds.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "exciton/data/detection/loader.hpp"
#include "exciton/nn/detection/faster_rcnn.hpp"
#include "exciton/train/detection/coco_metrics.hpp"
#include "exciton/train/preprocessing.hpp"
#include "exciton/train/recipe.hpp"
#include "exciton/train/run_folder.hpp"

namespace exciton::train {

/// A trained detector, ready for evaluation.
struct TrainedDetector {
  std::filesystem::path checkpoint;
  Recipe recipe;
  Preprocessing preprocessing;
  Position position;
  std::unique_ptr<nn::detection::FasterRcnn> net;
};

/// Whether a run folder or checkpoint is that of a detector. Errors: a file that is no checkpoint.
bool is_detector(const std::filesystem::path& run_or_checkpoint);

/// As load() for classifiers. Errors: those of open_checkpoint; a checkpoint of no detector, of
/// another network than its recipe says.
TrainedDetector load_detector(const std::filesystem::path& run_or_checkpoint,
                              const Warn& warn = {});

/// The detector of a recipe for data of such classes, initialised from the recipe's seed.
std::unique_ptr<nn::detection::FasterRcnn> make_detector(const Recipe& recipe,
                                                         const Preprocessing& preprocessing);

/// How images become its input; `flip` is for training.
data::DetectionTransform transform_of(const Recipe& recipe, const Preprocessing& preprocessing,
                                      bool flip = false);

/// The images of `set` as evaluation looks at them: all of them, in their order.
data::DetectionLoader detection_loader(const Recipe& recipe, const Preprocessing& preprocessing,
                                       std::shared_ptr<const data::DetectionSet> set,
                                       std::int64_t batch = 0);

/// Objects of a batch as the network reads them.
std::vector<nn::detection::Objects> objects_of(const data::DetectionBatch& batch);
std::vector<nn::detection::ImageSize> sizes_of(const data::DetectionBatch& batch);

/// What was found in images, in pixels of the images themselves.
struct DetectionResult {
  std::vector<CocoDetection> found;  ///< in the order of the images, the surest of each first
  std::int64_t images = 0, skipped = 0;
  std::vector<std::string> skipped_reasons;  ///< of the first few
  CocoMetrics metrics;
};

/// Runs the loader's epoch 0 through the net in evaluation mode and puts it back into the mode it
/// was in. `each` is called after every batch with the images seen so far; false: stop early, and
/// the metrics are empty.
DetectionResult evaluate_detector(nn::detection::FasterRcnn& net, data::DetectionLoader& loader,
                                  const data::DetectionSet& set,
                                  const std::function<bool(std::int64_t)>& each = {});

/// What is found in one image. `image` of the results is 0.
std::vector<CocoDetection> detect(const TrainedDetector& trained, const data::Image& image);

}  // namespace exciton::train
