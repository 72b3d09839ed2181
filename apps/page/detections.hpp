/// Images with boxes, as pages show them.
#pragma once
#include <span>
#include <string>

#include "exciton/data/pixels.hpp"
#include "exciton/train/detection/coco_metrics.hpp"
#include "exciton/train/json.hpp"

namespace exciton::apps {

/// How many images a page shows.
inline constexpr std::int64_t images_on_page = 60;

/// The image, small, with what was found in it and what is annotated (none where nobody knows).
train::Json image_with_boxes(const std::string& name, const data::Image& image,
                             std::span<const train::CocoDetection> found,
                             std::span<const data::CocoObject> objects);

/// {"category": ..., "score": ..., "box": [x, y, width, height]}
train::Json to_json(const train::CocoDetection& found, const std::vector<std::string>& categories);

/// A colour that tells a category from its neighbours.
std::array<std::uint8_t, 3> colour_of(std::int64_t category);

}  // namespace exciton::apps
