/// Everything `exciton inspect` finds out about the gates of a trained network.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exciton/train/inspect/gate_stats.hpp"
#include "exciton/train/trained_model.hpp"

namespace exciton::train {

/// Accuracy with some gates replaced, against the network as it is, on the same images.
struct Replacement {
  std::string by;         ///< "one", "mean" or "zero"
  double top1 = 0;        ///< a fraction
  double difference = 0;  ///< top1 minus that of the network as it is
  double error = 0;       ///< standard error of the difference (paired by image)
};

/// How much one unit, or several together, matter.
struct Importance {
  std::string name;  ///< a unit's, or "stage3", or "all"
  std::int64_t units = 1;
  std::int64_t parameters = 0, multiply_adds = 0;  ///< that removing them saves; an image
  std::vector<Replacement> replacements;
};

/// One image, looked at closely.
struct Explanation {
  std::string name;   ///< "test image 17" or a file
  std::string label;  ///< its class; "" for files
  data::Image image;
  std::vector<std::pair<std::string, double>> top5;
  std::vector<std::vector<float>> gates;  ///< [units][C]
  /// Grad-CAM of the first of top5 (Selvaraju et al. 2017, arXiv 1610.02391):
  ///   heat = relu(sum over c of (mean over pixels of d logit / d A[.,.,c]) A[.,.,c]),
  /// A the map before the last pool, scaled so that its largest value is 1. Empty: no such pool.
  std::int64_t heat_height = 0, heat_width = 0;
  std::vector<float> heat;
};

struct InspectionOptions {
  std::int64_t importance_images =
      1000;                         ///< images, evenly spread, that each replacement is tried on
  std::vector<std::int64_t> picks;  ///< images of the set to look at closely
  std::vector<std::string> files;   ///< and image files
  /// Called with every batch's gates: [N, C] of each unit, labels and indices; for --csv.
  std::function<void(const nn::GateRecorder&, const Tensor&, const std::vector<std::int64_t>&)>
      each_batch;
  std::function<void(const std::string&, std::int64_t, std::int64_t)> progress;
};

struct Inspection {
  double top1 = 0, loss = 0;  ///< on the whole set
  std::int64_t images = 0, importance_images = 0;
  double importance_top1 = 0;  ///< on the images of the replacements
  std::int64_t parameters = 0, multiply_adds = 0;
  GateStats stats{0};
  std::vector<Importance> units, groups;
  std::vector<Explanation> explanations;
};

/// Looks at every image of `set`, then replaces gates, then looks at single images. Errors: a
/// network without units, a set of other classes.
Inspection inspect(TrainedModel& trained, const std::shared_ptr<const data::Dataset>& set,
                   const InspectionOptions& options);

}  // namespace exciton::train
