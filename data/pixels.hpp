/// Decoded images, and how a part of one is asked for.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace exciton::data {

/// One decoded image, row-major [height, width, channels], 8 bits per channel.
struct Image {
  std::int64_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

/// Rows and columns.
struct Size {
  std::int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

/// A rectangle in an image, in pixels; its borders may lie between pixels.
struct Box {
  double left = 0, top = 0, width = 0, height = 0;
};

/// All of an image.
inline Box whole(Size size) {
  return {0, 0, static_cast<double>(size.width), static_cast<double>(size.height)};
}

/// A part of an image at a size.
struct View {
  Box box;
  Size size;
  bool exact = true;  ///< false: a JPEG may be shrunk while it is decoded, by 2, 4 or 8, as long as
                      ///< it stays at least as large as the result: faster, and a little smoother
};

/// Says what is wanted of an image once its size is known.
using ViewRequest = std::function<View(Size)>;

}  // namespace exciton::data
