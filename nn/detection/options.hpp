/// What can be chosen of a Faster R-CNN; keys of a recipe's "detection" object have these names.
/// The values are torchvision's, which are those of Lin et al. 2017.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/nn/detection/boxes.hpp"
#include "exciton/nn/detection/matching.hpp"

namespace exciton::nn::detection {

struct AnchorOptions {
  std::vector<double> sizes{32, 64, 128, 256, 512};  ///< side of the square one of each level
  std::vector<double> ratios{0.5, 1, 2};             ///< height / width
};

/// So many boxes of the highest objectness of a level and image, and so many of an image behind
/// suppression.
struct ProposalCounts {
  std::int64_t before_nms = 1000, after_nms = 1000;
};

struct RpnOptions {
  AnchorOptions anchors;
  ProposalCounts training{2000, 2000}, evaluation{1000, 1000};
  double nms = 0.7;
  double foreground_iou = 0.7, background_iou = 0.3;
  Sampler sampler{256, 0.5};
  double beta = 1.0 / 9;  ///< of smooth L1
};

struct RoiOptions {
  std::int64_t pool = 7;      ///< side of what is cut out of the maps
  std::int64_t sampling = 2;  ///< samples of a bin each way, see ops/roi_align.hpp
  std::int64_t width = 1024;  ///< of both layers
  double foreground_iou = 0.5, background_iou = 0.5;
  Sampler sampler{512, 0.25};
  BoxCoder coder{{10, 10, 5, 5}};
  double beta = 1.0 / 9;          ///< of smooth L1
  double score_threshold = 0.05;  ///< below it nothing is a detection
  double nms = 0.5;               ///< within a class
  std::int64_t detections = 100;  ///< of an image, at most
};

struct FasterRcnnOptions {
  std::int64_t classes = 80;     ///< without the background
  std::int64_t channels = 256;   ///< of the pyramid's maps
  std::int64_t first_stage = 1;  ///< of the backbone that the pyramid reads; it reads all behind it
  RpnOptions rpn;
  RoiOptions roi;
};

}  // namespace exciton::nn::detection
