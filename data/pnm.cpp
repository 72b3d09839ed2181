// PBM, PGM and PPM (Netpbm): "P" and a digit, width, height and, but for PBM, the largest value, as
// decimal text with comments from # to the end of the line; then the samples, as text (P1 to P3) or
// binary behind a single space (P4 to P6).
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "exciton/data/codec.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_pnm(Bytes bytes) {
  return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
         (is_space(bytes[2]) || bytes[2] == '#');
}

class PnmFile {
 public:
  PnmFile(Bytes bytes, const std::string& file)
      : bytes_(bytes),
        file_(file),
        bitmap_(bytes[1] == '1' || bytes[1] == '4'),
        text_(bytes[1] <= '3') {
    header.channels = bytes[1] == '3' || bytes[1] == '6' ? 3 : 1;
    header.size.width = number();
    header.size.height = number();
    most_ = bitmap_ ? 1 : number();
    check_extent(file_, header.size.width, header.size.height);
    check(most_ >= 1 && most_ <= 65535, "image: ", file_, ": PNM with largest value ", most_,
          ", expected 1 to 65535");
    ++at_;  // the one space before binary samples
  }

  StoredHeader header;

  void decode(Image& out) {
    const auto& [height, width] = header.size;
    const std::int64_t values = width * header.channels;
    const std::int64_t row_bytes = text_         ? values
                                   : bitmap_     ? (width + 7) / 8
                                   : most_ > 255 ? 2 * values
                                                 : values;
    check(at_ <= bytes_.size() &&
              row_bytes <= static_cast<std::int64_t>(bytes_.size() - at_) / height,
          "image: ", file_, ": truncated PNM");
    check_memory(file_, values * height);
    out = {height, width, header.channels, std::move(out.pixels)};
    out.pixels.resize(static_cast<std::size_t>(values * height));
    std::uint8_t* to = out.pixels.data();
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < values; ++x)
        *to++ = scaled(text_ ? (bitmap_ ? digit() : number())
                             : binary(static_cast<std::size_t>(y * row_bytes), x));
  }

 private:
  void check_more() const { check(at_ < bytes_.size(), "image: ", file_, ": truncated PNM"); }
  void skip_spaces() {
    for (; check_more(), is_space(bytes_[at_]) || bytes_[at_] == '#'; ++at_)
      if (bytes_[at_] == '#')
        while (check_more(), bytes_[at_] != '\n') ++at_;
  }
  /// The next decimal number. Errors: none, or one beyond all that are meant.
  std::int64_t number() {
    if (at_ == 0) at_ = 2;
    skip_spaces();
    std::int64_t value = 0;
    const std::size_t begin = at_;
    for (; at_ < bytes_.size() && std::isdigit(bytes_[at_]) && value <= max_pixels; ++at_)
      value = 10 * value + bytes_[at_] - '0';
    check(at_ > begin && value <= max_pixels, "image: ", file_, ": damaged PNM: no number at byte ",
          begin);
    return value;
  }
  /// A digit of a bitmap as text, where no space need stand between two.
  std::int64_t digit() {
    skip_spaces();
    const std::uint8_t c = bytes_[at_];
    check(c == '0' || c == '1', "image: ", file_, ": damaged PNM: neither 0 nor 1 at byte ", at_);
    ++at_;
    return c - '0';
  }
  std::int64_t binary(std::size_t row, std::int64_t x) const {
    const std::uint8_t* p = bytes_.data() + at_ + row;
    if (bitmap_) return p[x / 8] >> (7 - x % 8) & 1;
    return most_ > 255 ? p[2 * x] << 8 | p[2 * x + 1] : p[x];
  }
  /// To 0 .. 255; a bitmap counts ink.
  std::uint8_t scaled(std::int64_t value) const {
    if (bitmap_) return value == 0 ? 255 : 0;
    return static_cast<std::uint8_t>((std::min(value, most_) * 255 + most_ / 2) / most_);
  }

  const Bytes bytes_;
  const std::string& file_;
  const bool bitmap_, text_;
  std::size_t at_ = 0;
  std::int64_t most_ = 0;
};

}  // namespace

const Codec pnm_codec{
    "PNM", &is_pnm,
    [](Bytes bytes, const std::string& file) { return PnmFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { PnmFile(bytes, file).decode(out); }};

}  // namespace exciton::data
