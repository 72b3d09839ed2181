/// Data and a recipe for detectors that train in a moment.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "exciton/core/random.hpp"
#include "exciton/data/write_image.hpp"
#include "exciton/train/json.hpp"

namespace exciton::train::testing {

/// Images of noise with a bright square or two, in COCO's layout.
inline void make_squares(const std::filesystem::path& dir, int images) {
  std::filesystem::create_directories(dir / "annotations");
  std::filesystem::create_directories(dir / "train2017");
  Generator rng(3);
  Json json{{"images", Json::array()},
            {"annotations", Json::array()},
            {"categories", {{{"id", 5}, {"name", "light"}}, {{"id", 9}, {"name", "dark"}}}}};
  for (int i = 0; i < images; ++i) {
    data::Image image{64, i % 2 ? 96 : 64, 3, {}};
    image.pixels.resize(static_cast<std::size_t>(image.height * image.width * 3));
    for (auto& v : image.pixels) v = static_cast<std::uint8_t>(110 + rng.below(20));
    const std::string file = std::to_string(i) + ".png";
    json["images"].push_back(
        {{"id", i}, {"file_name", file}, {"width", image.width}, {"height", image.height}});
    for (int k = 0; k < i % 3; ++k) {
      const double side = 16 + 8 * k, left = static_cast<double>(rng.below(30)), top = 4 + 20 * k;
      const std::uint8_t level = k == 0 ? 250 : 5;
      for (std::int64_t t = 0; t < 16; ++t)
        data::draw_box(image, {left, top, side, side}, {level, level, level}, 16);
      json["annotations"].push_back({{"id", 10 * i + k + 1},
                                     {"image_id", i},
                                     {"category_id", k == 0 ? 5 : 9},
                                     {"bbox", {left, top, side, side}},
                                     {"area", side * side},
                                     {"iscrowd", 0}});
    }
    data::write_image(dir / "train2017" / file, image);
  }
  std::ofstream(dir / "annotations/instances_train2017.json") << json.dump();
}

/// Trains a small detector on them in a moment.
inline Json small_recipe(const std::filesystem::path& data) {
  return Json::parse(R"({
    "task": "detection",
    "model": {"name": "se_resnet18", "blocks": [1, 1, 1, 1]},
    "detection": {"min_size": 64, "max_size": 96, "norms": "batch", "channels": 8,
                  "anchor_sizes": [8, 16, 32, 64, 128],
                  "rpn": {"samples": 32, "before_nms": 100, "after_nms": 50,
                          "eval_before_nms": 100, "eval_after_nms": 50},
                  "roi": {"samples": 16, "width": 32}},
    "data": {"batch": 2, "augment": {"flip": true}, "workers": 1},
    "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": false},
    "schedule": {"name": "cosine", "lr": 0.01},
    "epochs": 2
  })")
      .patch(Json::array({{{"op", "add"}, {"path", "/data/dir"}, {"value", data.string()}}}));
}

}  // namespace exciton::train::testing
