/// Image formats whose files are decoded whole, one file each. JPEG, of which a part can be
/// decoded, is data/jpeg.hpp.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// What a header says of an image, as it is stored.
struct StoredHeader {
  Size size;
  std::int64_t channels = 0;  ///< 1 to 4, as in ImageHeader
  int orientation = 1;        ///< 1 to 8, as EXIF has it
};

/// A format. Every function takes the bytes of a file and what to call it in errors.
struct Codec {
  using Bytes = std::span<const std::uint8_t>;
  const char* name;
  bool (*recognises)(Bytes bytes);
  /// Errors: damaged, too large.
  StoredHeader (*header)(Bytes bytes, const std::string& file);
  /// The first image of the file as stored, as grey (1 channel) or RGB (3), without transparency.
  /// Errors: damaged, truncated, too large; no image needs more than max_image_memory.
  void (*decode)(Bytes bytes, const std::string& file, Image& out);
};

extern const Codec bmp_codec;   ///< 1 to 32 bits, palettes, bit fields, run lengths
extern const Codec gif_codec;   ///< the first frame on its canvas
extern const Codec png_codec;   ///< every depth; only the chunks that make pixels are read
extern const Codec pnm_codec;   ///< PBM, PGM and PPM, as text and binary, up to 16 bits
extern const Codec tiff_codec;  ///< the first page, up to 16 bits a sample
extern const Codec webp_codec;  ///< lossy and lossless; of an animation the first frame

}  // namespace exciton::data
