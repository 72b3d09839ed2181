/// What a detector learns from and what it says.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/nn/detection/boxes.hpp"

namespace exciton::nn::detection {

/// The objects of an image, in pixels of the network's input. Labels count from 0.
struct Objects {
  std::vector<Box> boxes;
  std::vector<std::int64_t> labels;
};

/// What was found in an image, the surest first.
struct Detections {
  std::vector<Box> boxes;
  std::vector<float> scores;  ///< probabilities
  std::vector<std::int64_t> labels;
};

}  // namespace exciton::nn::detection
