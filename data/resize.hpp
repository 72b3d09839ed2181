/// Changing the size of an image, and cutting out of it.
///
/// The filter is a triangle (bilinear) that widens when shrinking, so that every pixel counts:
/// antialiased, as Pillow's BILINEAR. With scale = box / output along an axis, output pixel i is
/// the weighted mean of the pixels k near
///   centre = box.begin + (i + 1/2) scale,    weight = max(0, 1 - |k + 1/2 - centre| / max(1,
///   scale))
#pragma once
#include <cstdint>

#include "exciton/core/error.hpp"
#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// The part of `image` in `box` as height x width pixels. The filter reads over the border of the
/// box, though not of the image: what comes out is a piece of the whole image resized.
/// Errors: sizes below one, a box that is empty or not inside the image.
Image resize(const Image& image, const Box& box, std::int64_t height, std::int64_t width);
/// The same into `out`, reusing its storage; `out` is not `image`.
void resize(const Image& image, const Box& box, std::int64_t height, std::int64_t width,
            Image& out);
/// The whole image; its proportions are not kept.
Image resize(const Image& image, std::int64_t height, std::int64_t width);

/// The size in which the shorter side is `shorter` and proportions are kept (the longer side is
/// rounded down, as torchvision's Resize does).
Size with_shorter_side(Size size, std::int64_t shorter);

/// The middle height x width pixels of a larger image. Errors: a crop larger than the image.
Image centre_crop(const Image& image, std::int64_t height, std::int64_t width);

/// The evaluation view of section 5.1 of the paper as one resize: in an image of `size`, the box
/// that becomes the middle crop x crop pixels once the shorter side is resized to `shorter`.
/// Errors: crop > shorter.
Box centre_box(Size size, std::int64_t shorter, std::int64_t crop);

}  // namespace exciton::data
