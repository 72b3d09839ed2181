/// Image files to pixels: JPEG (data/jpeg.hpp) and the formats of data/codec.hpp.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "exciton/core/error.hpp"
#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// Largest image that is decoded; a larger header is taken for damage or an attack.
inline constexpr std::int64_t max_pixels = std::int64_t{1} << 27;
/// Most bytes that decoding one image may take, with what a format has to keep meanwhile. Loaders
/// decode one image per thread.
inline constexpr std::int64_t max_image_memory = std::int64_t{1} << 29;

/// Decodes a JPEG (grey, YCbCr, RGB, CMYK, YCCK; baseline or progressive), PNG, WebP, GIF, TIFF,
/// BMP or PNM (of any depth; alpha is dropped; of several frames or pages the first) to `channels`
/// channels: 3 for RGB, 1 for grey (L = 0.299 R + 0.587 G + 0.114 B). The format is told by the
/// contents, not the name. The orientation that EXIF or TIFF has is applied: images come upright.
/// Errors name the file: unreadable, empty, another format, damaged, truncated, too large.
Image decode_image(const std::filesystem::path& path, std::int64_t channels = 3);

/// The same from memory; `name` is used in errors.
Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   std::int64_t channels = 3);

/// The same into `out`, reusing its storage.
void decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                  std::int64_t channels, Image& out);

/// What a request wants of an image, without decoding what it does not: the rows and columns of a
/// JPEG around the box, shrunk by 2, 4 or 8 on the way where the view is not `exact`, then resized
/// (data/resize.hpp). Other formats are decoded whole.
void decode_view(std::span<const std::uint8_t> bytes, const std::string& name,
                 std::int64_t channels, const ViewRequest& request, Image& out);
/// The same from pixels.
void view_of(const Image& image, const std::string& name, const ViewRequest& request, Image& out);

/// Whether these first bytes of a file are those of a format that is read.
bool is_image(std::span<const std::uint8_t> bytes);

/// What the header says: the size of the upright image, and channels as stored (2: grey and alpha,
/// 4: colour and alpha, or CMYK). Errors: as decode_image, as far as they show in the header.
struct ImageHeader {
  Size size;
  std::int64_t channels = 0;
};
ImageHeader read_image_header(std::span<const std::uint8_t> bytes, const std::string& name);

/// Errors: an extent below 1, more than max_pixels.
void check_extent(const std::string& name, std::int64_t width, std::int64_t height);
/// Errors: more than max_image_memory.
void check_memory(const std::string& name, std::int64_t bytes);
/// CMYK values to out.channels, in place on the way; `counts_light`: as Adobe writes them, where
/// 255 is no ink.
void store_cmyk(std::span<std::uint8_t> cmyk, bool counts_light, Image& out);

}  // namespace exciton::data
