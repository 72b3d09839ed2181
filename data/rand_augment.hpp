/// RandAugment's operations.
#pragma once
#include "exciton/core/random.hpp"
#include "exciton/data/pixel_ops.hpp"

namespace exciton::data {

/// Draws one of 14 operations, and a sign where it has one, and applies it. `strength` is the
/// magnitude as a fraction of the largest, 0 to 1.
void random_operation(Image& image, double strength, const Colour& fill, Generator& rng);

}  // namespace exciton::data
