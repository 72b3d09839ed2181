#include "exciton/data/rand_augment.hpp"

#include <cmath>

namespace exciton::data {
namespace {

enum Operation {
  identity,
  shear_x,
  shear_y,
  translate_x,
  translate_y,
  rotation,
  brightness,
  saturation,
  contrast,
  sharpness,
  fewer_bits,
  solarization,
  stretched,
  equalized,
  operations
};

}  // namespace

// The largest values are those of torchvision's RandAugment.
void random_operation(Image& image, double strength, const Colour& fill, Generator& rng) {
  const auto operation = static_cast<Operation>(rng.below(operations));
  const double sign = rng.uniform() < 0.5f ? -1 : 1;
  const double signed_strength = sign * strength;
  const double shear = 0.3 * signed_strength;
  const double shift = 150.0 / 331 * signed_strength;  // of the side
  const double factor = 1 + 0.9 * signed_strength;
  switch (operation) {
    case shear_x:
      return transform(image, {1, shear, 0, 0, 1, 0}, fill);
    case shear_y:
      return transform(image, {1, 0, 0, shear, 1, 0}, fill);
    case translate_x:
      return transform(image, {1, 0, shift * static_cast<double>(image.width), 0, 1, 0}, fill);
    case translate_y:
      return transform(image, {1, 0, 0, 0, 1, shift * static_cast<double>(image.height)}, fill);
    case rotation:
      return rotate(image, 30 * signed_strength, fill);
    case brightness:
      return change_brightness(image, factor);
    case saturation:
      return change_saturation(image, factor);
    case contrast:
      return change_contrast(image, factor);
    case sharpness:
      return change_sharpness(image, factor);
    case fewer_bits:
      return posterize(image, 8 - static_cast<int>(std::lround(4 * strength)));
    case solarization:
      return solarize(image, static_cast<int>(std::lround(255 * (1 - strength))));
    case stretched:
      return stretch_contrast(image);
    case equalized:
      return equalize(image);
    case identity:
    case operations:
      return;
  }
}

}  // namespace exciton::data
