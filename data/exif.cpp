#include "exciton/data/exif.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace exciton::data {
namespace {

/// Integers of a TIFF block, in its own byte order; nothing beyond its end.
class Tiff {
 public:
  explicit Tiff(std::span<const std::uint8_t> bytes)
      : bytes_(bytes), little_(bytes.size() >= 2 && bytes[0] == 'I' && bytes[1] == 'I') {}

  /// "II" or "MM", and 42 in that order: without them it is something else, XMP for one.
  bool is_one() const {
    const bool marked =
        bytes_.size() >= 2 && bytes_[0] == bytes_[1] && (bytes_[0] == 'I' || bytes_[0] == 'M');
    return marked && integer(2, 2) == 42u;
  }

  std::optional<std::uint32_t> integer(std::size_t at, std::size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
      value = value << 8 | bytes_[at + (little_ ? count - 1 - i : i)];
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool little_;
};

/// Whether rows and columns of the stored image run backwards.
struct Mirrors {
  bool rows, columns;
};
Mirrors mirrors_of(int orientation) {
  return {orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7,
          orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8};
}

}  // namespace

int exif_orientation(std::span<const std::uint8_t> segment) {
  constexpr std::string_view magic("Exif\0\0", 6);
  const bool prefixed =
      segment.size() >= magic.size() && std::equal(magic.begin(), magic.end(), segment.begin());
  const Tiff tiff(segment.subspan(prefixed ? magic.size() : 0));
  if (!tiff.is_one()) return 1;
  const std::size_t directory = tiff.integer(4, 4).value_or(0);
  const std::uint32_t entries = tiff.integer(directory, 2).value_or(0);
  constexpr std::size_t entry_bytes = 12;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = directory + 2 + entry_bytes * i;
    const auto tag = tiff.integer(at, 2);
    if (!tag) return 1;
    if (*tag != 0x0112) continue;
    const auto value = tiff.integer(at + 8, 2).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Box stored_box(const Box& upright, Size size, int orientation) {
  Box box = upright;
  if (is_transposed(orientation)) {
    std::swap(box.left, box.top);
    std::swap(box.width, box.height);
  }
  const Mirrors mirrors = mirrors_of(orientation);
  if (mirrors.rows) box.top = static_cast<double>(size.height) - box.top - box.height;
  if (mirrors.columns) box.left = static_cast<double>(size.width) - box.left - box.width;
  return box;
}

Image turned_upright(const Image& stored, int orientation) {
  const Size size = turned({stored.height, stored.width}, orientation);
  const Mirrors mirrors = mirrors_of(orientation);
  const std::int64_t c = stored.channels;
  Image out{size.height, size.width, c, std::vector<std::uint8_t>(stored.pixels.size())};
  std::uint8_t* to = out.pixels.data();
  for (std::int64_t y = 0; y < size.height; ++y)
    for (std::int64_t x = 0; x < size.width; ++x, to += c) {
      std::int64_t row = y, column = x;
      if (is_transposed(orientation)) std::swap(row, column);
      if (mirrors.rows) row = stored.height - 1 - row;
      if (mirrors.columns) column = stored.width - 1 - column;
      std::copy_n(stored.pixels.data() + (row * stored.width + column) * c, c, to);
    }
  return out;
}

}  // namespace exciton::data
