/// Images into files.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// A JPEG (4:2:0) or PNG of a grey or RGB image. Errors: no pixels, another number of channels.
std::string encode_jpeg(const Image& image, int quality = 90);
std::string encode_png(const Image& image);

/// As `path` ends: .jpg, .jpeg or .png. Errors: another ending; those above, and the system's.
void write_image(const std::filesystem::path& path, const Image& image);

using Colour = std::array<std::uint8_t, 3>;
/// Draws the outline of a box, `thickness` pixels wide to its inside, as far as it lies in the
/// image, which must be RGB.
void draw_box(Image& image, const Box& box, const Colour& colour, std::int64_t thickness);

}  // namespace exciton::data
