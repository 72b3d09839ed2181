/// Anchors: the boxes from which proposals are regressed (Ren et al. 2015, "Faster R-CNN", section
/// 3.1.1).
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/nn/detection/boxes.hpp"

namespace exciton::nn::detection {

/// Anchors of one level for maps of a size: at every pixel of the map, rows first, one for each
/// ratio, of area size^2, around the pixel's place in the image (its upper left corner; corners are
/// rounded to whole pixels, halves to even, as torchvision's). `padded` is the size of the images
/// of the batch, all of which have the same anchors. Errors: a size or a ratio that is not above 0,
/// a map larger than the image.
std::vector<Box> anchors_of_level(double size, const std::vector<double>& ratios, ImageSize map,
                                  ImageSize padded);

}  // namespace exciton::nn::detection
