// Windows bitmaps: a file header of 14 bytes, an information header whose size says its version,
// bit masks or a palette, and rows of whole 32-bit words from the bottom up (from the top when the
// height is negative).
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "exciton/data/codec.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

constexpr std::size_t file_header = 14;

enum Compression : std::uint32_t { plain = 0, rle8 = 1, rle4 = 2, masks = 3, alpha_masks = 6 };

class BmpFile {
 public:
  BmpFile(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {
    pixels_at_ = integer(10, 4);
    const std::uint32_t info = integer(14, 4);
    const bool core = info == 12;
    check(core || (info >= 40 && info <= 256), "image: ", file_, ": a BMP header of ", info,
          " bytes, expected 12 or 40 to 256");
    const auto width = static_cast<std::int32_t>(integer(18, core ? 2 : 4));
    const auto height = static_cast<std::int32_t>(integer(core ? 20 : 22, core ? 2 : 4));
    bits_ = integer(core ? 24 : 28, 2);
    compression_ = core ? plain : integer(30, 4);
    top_down_ = height < 0;
    header.size = {std::abs(std::int64_t{height}), width};
    check_extent(file_, header.size.width, header.size.height);
    const bool run_lengths =
        compression_ == (bits_ == 8 ? rle8 : rle4) && (bits_ == 8 || bits_ == 4);
    const bool bit_fields =
        (compression_ == masks || compression_ == alpha_masks) && (bits_ == 16 || bits_ == 32);
    const bool known_depth = bits_ == 1 || bits_ == 2 || bits_ == 4 || bits_ == 8 || bits_ == 16 ||
                             bits_ == 24 || bits_ == 32;
    check(known_depth && (compression_ == plain || run_lengths || bit_fields), "image: ", file_,
          ": a BMP of ", bits_, " bits with compression ", compression_, ", which is not read");
    read_colours(core, info, bit_fields);
    header.channels = bits_ == 32 && bit_fields && compression_ == alpha_masks ? 4 : 3;
  }

  StoredHeader header;

  void decode(Image& out) const {
    const auto& [height, width] = header.size;
    const bool run_lengths = compression_ == rle8 || compression_ == rle4;
    check_memory(file_, height * width * (run_lengths ? 4 : 3));
    const std::size_t stride = (static_cast<std::size_t>(width) * bits_ + 31) / 32 * 4;
    if (!run_lengths)
      check(pixels_at_ <= bytes_.size() &&
                static_cast<std::size_t>(height) <= (bytes_.size() - pixels_at_) / stride,
            "image: ", file_, ": truncated BMP");
    const std::vector<std::uint8_t> indices =
        run_lengths ? run_length_indices() : std::vector<std::uint8_t>{};
    out = {height, width, 3, std::move(out.pixels)};
    out.pixels.resize(static_cast<std::size_t>(3 * width * height));
    std::uint8_t* to = out.pixels.data();
    for (std::int64_t y = 0; y < height; ++y) {
      const auto row = static_cast<std::size_t>(top_down_ ? y : height - 1 - y);
      for (std::size_t x = 0; x < static_cast<std::size_t>(width); ++x, to += 3) {
        const Colour colour =
            run_lengths ? palette_colour(indices[row * static_cast<std::size_t>(width) + x])
                        : colour_at(pixels_at_ + row * stride, x);
        std::copy(colour.begin(), colour.end(), to);
      }
    }
  }

 private:
  using Colour = std::array<std::uint8_t, 3>;

  /// A little-endian integer. Errors: the file ends before it does.
  std::uint32_t integer(std::size_t at, std::size_t count) const {
    check(at <= bytes_.size() && count <= bytes_.size() - at, "image: ", file_, ": truncated BMP");
    std::uint32_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | bytes_[at + i];
    return value;
  }

  void read_colours(bool core, std::uint32_t info, bool bit_fields) {
    masks_ = bits_ == 16 ? std::array<std::uint32_t, 3>{0x7c00, 0x03e0, 0x001f}
                         : std::array<std::uint32_t, 3>{0xff0000, 0x00ff00, 0x0000ff};
    if (bit_fields)
      for (std::size_t c = 0; c < 3; ++c) masks_[c] = integer(54 + 4 * c, 4);
    if (bits_ > 8) return;
    const std::size_t entry = core ? 3 : 4, all = std::size_t{1} << bits_;
    const std::size_t used = core ? 0 : integer(46, 4);
    const std::size_t begin = file_header + info;
    for (std::size_t i = 0; i < (used == 0 || used > all ? all : used); ++i) {
      const std::size_t at = begin + entry * i;
      if (at + 3 > bytes_.size() || at + 3 > pixels_at_) break;  // a short palette
      palette_.push_back({bytes_[at + 2], bytes_[at + 1], bytes_[at]});
    }
  }

  Colour palette_colour(std::size_t index) const {
    return index < palette_.size() ? palette_[index] : Colour{0, 0, 0};
  }

  /// Pixel x of the row that begins at `row`.
  Colour colour_at(std::size_t row, std::size_t x) const {
    if (bits_ == 24) {
      const std::uint8_t* p = bytes_.data() + row + 3 * x;
      return {p[2], p[1], p[0]};
    }
    if (bits_ <= 8) {
      const std::size_t bit = x * bits_;
      const unsigned shift = static_cast<unsigned>(8 - bits_ - bit % 8);
      return palette_colour(bytes_[row + bit / 8] >> shift & ((1u << bits_) - 1));
    }
    const std::uint32_t pixel = integer(row + x * (bits_ / 8), bits_ / 8);
    Colour out{};
    for (std::size_t c = 0; c < 3; ++c) {
      if (masks_[c] == 0) continue;
      const int shift = std::countr_zero(masks_[c]);
      const std::uint64_t most = masks_[c] >> shift, value = (pixel & masks_[c]) >> shift;
      out[c] = static_cast<std::uint8_t>((value * 255 + most / 2) / most);
    }
    return out;
  }

  /// Pairs (count, index): a run; (0, n > 2): n indices as they are, padded to 16 bits; (0, 0), (0,
  /// 1) and (0, 2, dx, dy): next row, the end, a jump. What is jumped over has index 0. With four
  /// bits a byte holds two indices, which take turns in a run.
  std::vector<std::uint8_t> run_length_indices() const {
    const auto width = static_cast<std::size_t>(header.size.width);
    const auto height = static_cast<std::size_t>(header.size.height);
    std::vector<std::uint8_t> out(width * height);
    std::size_t at = pixels_at_, x = 0, y = 0;
    const auto next = [&] { return static_cast<std::uint8_t>(integer(at++, 1)); };
    const auto put = [&](std::uint8_t byte, std::size_t i) {
      const int index = bits_ == 8 ? byte : i % 2 == 0 ? byte >> 4 : byte & 15;
      if (x < width) out[y * width + x++] = static_cast<std::uint8_t>(index);
    };
    while (y < height) {
      const std::size_t count = next();
      const std::uint8_t second = next();
      if (count > 0) {
        for (std::size_t i = 0; i < count; ++i) put(second, i);
      } else if (second == 0) {
        x = 0;
        ++y;
      } else if (second == 1) {
        break;
      } else if (second == 2) {
        x += next();
        y += next();
      } else {
        std::uint8_t byte = 0;
        for (std::size_t i = 0; i < second; ++i) {
          if (bits_ == 8 || i % 2 == 0) byte = next();
          put(byte, i);
        }
        const std::size_t bytes = bits_ == 8 ? second : (second + 1u) / 2;
        at += bytes % 2;
      }
    }
    return out;
  }

  const Bytes bytes_;
  const std::string& file_;
  std::uint32_t pixels_at_ = 0, bits_ = 0, compression_ = 0;
  bool top_down_ = false;
  std::array<std::uint32_t, 3> masks_{};
  std::vector<Colour> palette_;
};

bool is_bmp(Bytes bytes) { return bytes.size() >= 26 && bytes[0] == 'B' && bytes[1] == 'M'; }

}  // namespace

const Codec bmp_codec{
    "BMP", &is_bmp,
    [](Bytes bytes, const std::string& file) { return BmpFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { BmpFile(bytes, file).decode(out); }};

}  // namespace exciton::data
