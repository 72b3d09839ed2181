/// What can be done to the pixels of an image in training: colours, rotation, shear. The results
/// are Pillow's (ImageEnhance, ImageOps, Image.transform), to a grey level or two. Images have 1 or
/// 3 channels.
#pragma once
#include <array>
#include <cstdint>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// All pixels times `factor`: 0 is black, 1 changes nothing.
void change_brightness(Image& image, double factor);
/// Away from (factor > 1) or towards (< 1) the mean grey level of the image.
void change_contrast(Image& image, double factor);
/// Away from or towards each pixel's own grey: 0 is a grey image.
void change_saturation(Image& image, double factor);
/// Away from or towards a 3x3 blur.
void change_sharpness(Image& image, double factor);
/// Turns the colour circle by `turns` (1 is all around).
void change_hue(Image& image, double turns);

/// Keeps the highest `bits` bits of every value, 1 to 8.
void posterize(Image& image, int bits);
/// Inverts values of `threshold` and above.
void solarize(Image& image, int threshold);
/// Stretches each channel to 0..255.
void stretch_contrast(Image& image);
/// Makes the values of each channel equally frequent.
void equalize(Image& image);

/// Output pixel (x, y) is taken, bilinearly, from (m0 x + m1 y + m2, m3 x + m4 y + m5), in
/// coordinates in which pixel centres lie at halves. Pixels from outside become `fill`.
using Affine = std::array<double, 6>;
using Colour = std::array<std::uint8_t, 3>;
void transform(Image& image, const Affine& from, const Colour& fill);

/// Counter-clockwise about the centre.
void rotate(Image& image, double degrees, const Colour& fill);

}  // namespace exciton::data
