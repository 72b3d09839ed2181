#include "apps/page/detections.hpp"

#include <algorithm>
#include <cmath>

#include "apps/page/page.hpp"
#include "exciton/data/resize.hpp"
#include "exciton/data/write_image.hpp"

namespace exciton::apps {
namespace {

train::Json box_json(const data::Box& box) {
  return rounded_list(std::array{box.left, box.top, box.width, box.height}, 5);
}

}  // namespace

train::Json image_with_boxes(const std::string& name, const data::Image& image,
                             std::span<const train::CocoDetection> found,
                             std::span<const data::CocoObject> objects) {
  constexpr std::int64_t most_side = 400;
  constexpr int quality = 75;
  const std::int64_t longer = std::max(image.height, image.width);
  data::Image small = image;
  if (longer > most_side) {
    const auto scaled = [&](std::int64_t side) {
      return std::max<std::int64_t>(1, side * most_side / longer);
    };
    small = data::resize(image, scaled(image.height), scaled(image.width));
  }
  train::Json out{{"image", name},
                  {"width", image.width},
                  {"height", image.height},
                  {"jpeg", base64(data::encode_jpeg(small, quality))},
                  {"found", train::Json::array()},
                  {"objects", train::Json::array()}};
  for (const train::CocoDetection& d : found)
    out["found"].push_back(
        {{"category", d.category}, {"score", rounded(d.score, 3)}, {"box", box_json(d.box)}});
  for (const data::CocoObject& o : objects)
    out["objects"].push_back(
        {{"category", o.category}, {"crowd", o.crowd}, {"box", box_json(o.box)}});
  return out;
}

train::Json to_json(const train::CocoDetection& found, const std::vector<std::string>& categories) {
  return {{"category", categories[static_cast<std::size_t>(found.category)]},
          {"score", found.score},
          {"box", {found.box.left, found.box.top, found.box.width, found.box.height}}};
}

std::array<std::uint8_t, 3> colour_of(std::int64_t category) {
  // Okabe and Ito's colours, as the pages have them, and two more.
  constexpr std::array<std::array<std::uint8_t, 3>, 8> colours{{{230, 159, 0},
                                                                {86, 180, 233},
                                                                {0, 158, 115},
                                                                {240, 228, 66},
                                                                {0, 114, 178},
                                                                {213, 94, 0},
                                                                {204, 121, 167},
                                                                {255, 255, 255}}};
  return colours[static_cast<std::size_t>(category) % colours.size()];
}

}  // namespace exciton::apps
