/// JPEG and PNG files to pixels.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "data/dataset.hpp"

namespace exciton::data {

/// Largest image that is decoded; a larger header is taken for damage or an attack.
inline constexpr std::int64_t max_pixels = std::int64_t{1} << 27;

/// Decodes a JPEG (grey, YCbCr, RGB, CMYK, YCCK; baseline or progressive) or PNG (any depth; alpha
/// is dropped) to `channels` channels: 3 for RGB, 1 for grey (L = 0.299 R + 0.587 G + 0.114 B). The
/// format is told by the contents, not the name. EXIF rotation is not applied.
/// Errors name the file: unreadable, empty, neither format, damaged, truncated, too large.
Image decode_image(const std::filesystem::path& path, std::int64_t channels = 3);

/// The same from memory; `name` is used in errors.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   std::int64_t channels = 3);

/// The same into `out`, reusing its storage.
void decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                  std::int64_t channels, Image& out);

}  // namespace exciton::data
