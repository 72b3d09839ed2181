/// Changing the size of an image.
#pragma once
#include "data/dataset.hpp"

namespace exciton::apps {

/// `image` as height x width pixels. Bilinear with a triangle filter that widens when shrinking, so
/// that every pixel counts (antialiasing), as PIL's BILINEAR; the whole image is kept, its
/// proportions are not. Errors: sizes below one.
data::Image resize(const data::Image& image, std::int64_t height, std::int64_t width);

}  // namespace exciton::apps
