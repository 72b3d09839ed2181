/// The orientation that a camera wrote down (EXIF 2.32, tag 0x0112).
#pragma once
#include <cstdint>
#include <span>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// Orientation 1 to 8 from a block of EXIF: a JPEG's APP1 segment ("Exif\0\0", then TIFF), a PNG's
/// eXIf or a WebP's EXIF chunk (TIFF, by some programs with the same six bytes before it). 1, which
/// is upright, when there is none or the block makes no sense.
int exif_orientation(std::span<const std::uint8_t> segment);

/// True when upright rows are stored as columns.
inline bool is_transposed(int orientation) { return orientation >= 5; }

/// The size of the upright image, from the stored one and back.
inline Size turned(Size size, int orientation) {
  return is_transposed(orientation) ? Size{size.width, size.height} : size;
}

/// Where a box of the upright image lies in an image stored with `size` pixels.
Box stored_box(const Box& upright, Size size, int orientation);

/// The upright image.
Image turned_upright(const Image& stored, int orientation);

}  // namespace exciton::data
