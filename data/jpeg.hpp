/// JPEG files, whole or in part.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "exciton/data/pixels.hpp"

namespace exciton::data {

/// A JPEG in memory whose header was read. Grey, YCbCr, RGB, CMYK and YCCK, baseline and
/// progressive. Pixels come as stored: whoever wants them upright turns them (data/exif.hpp).
class JpegFile {
 public:
  /// `bytes` must stay. Errors name the file: no JPEG, damaged, more than max_pixels.
  JpegFile(std::span<const std::uint8_t> bytes, std::string name);
  ~JpegFile();
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;

  Size size() const;              ///< as stored
  int orientation() const;        ///< 1 to 8, as EXIF has it
  std::int64_t channels() const;  ///< as stored: 1, 3 or 4

  /// Rows and columns, [top, top + height) and [left, left + width).
  struct Area {
    std::int64_t top = 0, left = 0, height = 0, width = 0;
  };
  /// Decodes an area of the image shrunk by `reduction` (1, 2, 4 or 8; sizes round up) to
  /// `channels` (1 or 3). Returns what `out` holds: the rows that were asked for, and of the
  /// columns perhaps more, to the left, where a block began. Rows above the area are not
  /// transformed, columns beside it neither, and nothing below it is read; within a pixel of its
  /// border colours may differ a little from those of the whole image. Call once. Errors: damaged
  /// or truncated data.
  Area decode(int reduction, Area area, std::int64_t channels, Image& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exciton::data
