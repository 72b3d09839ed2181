#include "exciton/train/first_recipe.hpp"

#include <algorithm>
#include <vector>

#include "exciton/train/balance.hpp"

namespace exciton::train {
namespace {

/// The middle one of the shorter sides of some images, or the side that all have.
std::int64_t usual_side(const data::Dataset& set) {
  if (set.image_size() > 0) return set.image_size();
  constexpr std::int64_t looked_at = 32;
  std::vector<std::int64_t> sides;
  data::Image image;
  for (std::int64_t i = 0; i < std::min(looked_at, set.size()); ++i) {
    try {
      set.read(i * set.size() / std::min(looked_at, set.size()), image);
      sides.push_back(std::min(image.height, image.width));
    } catch (const Error&) {
      continue;  // training says what it is about
    }
  }
  if (sides.empty()) return 32;
  std::ranges::nth_element(sides, sides.begin() + std::ssize(sides) / 2);
  return sides[sides.size() / 2];
}

}  // namespace

Recipe first_recipe(const data::Dataset& train) {
  constexpr std::int64_t small = 40, many = 5000, images_to_see = 30'000;
  const std::int64_t side = usual_side(train), images = std::max<std::int64_t>(1, train.size());
  Recipe r;
  r.model.name = "se_resnet20";
  r.data.augment.flip = true;
  if (side <= small) {
    if (train.image_size() == 0) r.data.image_size = 32;
    r.data.augment.pad = 4;
  } else if (images < many) {
    r.data.image_size = std::min<std::int64_t>(side, 64);
    r.data.augment.random_resized_crop.scale_low = 0.35;
  } else {
    r.model.name = "se_resnet18";
    r.data.image_size = std::min<std::int64_t>(side, 128);
    if (r.data.image_size < 96) r.model.options.stem = "3x3";
    r.data.augment.random_resized_crop.scale_low = 0.25;
  }
  r.data.batch = images < 2000 ? 32 : images < 10'000 ? 64 : 128;
  r.optimizer.name = "sgd";
  r.optimizer.momentum = 0.9;
  r.optimizer.nesterov = true;
  r.optimizer.weight_decay = 5e-4;
  r.schedule.name = "one_cycle_linear";
  r.schedule.lr = 0.2 * static_cast<double>(r.data.batch) / 128;
  r.epochs = std::clamp<std::int64_t>(images_to_see / images, 15, 120);
  const auto [least, most] = std::ranges::minmax(class_counts(train));
  if (2 * most > 3 * least && least > 0) r.class_weights.by = ClassWeightsRecipe::By::balanced;
  r.dtype = "auto";
  return r;
}

}  // namespace exciton::train
