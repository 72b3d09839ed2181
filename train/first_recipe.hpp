/// A recipe for who has images and none.
#pragma once
#include "exciton/data/dataset.hpp"
#include "exciton/train/recipe.hpp"

namespace exciton::train {

/// Sensible choices for such a train set on a CPU, to begin with and to be changed: SE-ResNet-20
/// for images of up to 40 pixels and for few images (at 64 pixels, where they are larger),
/// SE-ResNet-18 at 128 pixels for 5,000 larger ones or more; some thirty thousand images seen, at
/// least 15 epochs and at most 120; weights of classes where the largest has one and a half times
/// the images of the smallest. Errors: an image that cannot be read.
Recipe first_recipe(const data::Dataset& train);

}  // namespace exciton::train
