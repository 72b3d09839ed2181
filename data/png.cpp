#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "exciton/data/codec.hpp"
#include "exciton/data/exif.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

constexpr std::array<std::uint8_t, 8> magic{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool is_png(Bytes bytes) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

/// The contents of the first eXIf chunk, before or behind the pixels; empty when there is none.
Bytes exif_chunk(Bytes bytes) {
  constexpr std::size_t frame = 12;  // length, type, and the checksum behind the contents
  for (std::size_t at = magic.size(); at + frame <= bytes.size();) {
    const std::size_t length = std::size_t{bytes[at]} << 24 | std::size_t{bytes[at + 1]} << 16 |
                               std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (length > bytes.size() - at - frame) break;
    if (std::memcmp(bytes.data() + at + 4, "eXIf", 4) == 0) return bytes.subspan(at + 8, length);
    at += frame + length;
  }
  return {};
}

/// A PNG whose header was read and found sane. libpng reports errors by a call that must not
/// return; it jumps back to `run`.
class PngFile {
 public:
  PngFile(Bytes bytes, const std::string& file) : left_(bytes), file_(file) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &PngFile::on_error,
                                  [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    const bool begun = info_ != nullptr && run([&] {
                         png_set_read_fn(png_, this, &PngFile::on_read);
                         // Texts, profiles and the like are skipped as they are: they may
                         // inflate to any size.
                         png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
                         png_read_info(png_, info_);
                       });
    try {
      check(begun, "image: ", file_, ": damaged PNG: ", message_);
      header.size = {png_get_image_height(png_, info_), png_get_image_width(png_, info_)};
      check_extent(file_, header.size.width, header.size.height);
    } catch (...) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw;
    }
    const int type = png_get_color_type(png_, info_);
    const bool transparent =
        (type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
    header.channels = ((type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) + (transparent ? 1 : 0);
    header.orientation = exif_orientation(exif_chunk(bytes));
  }
  ~PngFile() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;

  StoredHeader header;

  void decode(Image& out) {
    const bool grey = header.channels <= 2;
    out = {header.size.height, header.size.width, grey ? 1 : 3, std::move(out.pixels)};
    const auto stride = static_cast<std::size_t>(out.width * out.channels);
    check_memory(file_, static_cast<std::int64_t>(stride) * out.height);
    out.pixels.resize(stride * static_cast<std::size_t>(out.height));
    const bool done = run([&] {
      png_set_expand(png_);
      png_set_scale_16(png_);
      png_set_strip_alpha(png_);
      const int passes = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      if (png_get_rowbytes(png_, info_) != stride) png_error(png_, "rows of an unexpected size");
      for (int pass = 0; pass < passes; ++pass)
        for (std::size_t row = 0; row < static_cast<std::size_t>(out.height); ++row)
          png_read_row(png_, out.pixels.data() + row * stride, nullptr);
    });
    check(done, "image: ", file_, ": damaged or truncated PNG: ", message_);
  }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto& self = *static_cast<PngFile*>(png_get_error_ptr(png));
    std::snprintf(self.message_, sizeof self.message_, "%s", message);
    std::longjmp(self.escape_, 1);
  }
  static void on_read(png_structp png, png_bytep to, std::size_t count) {
    Bytes& left = static_cast<PngFile*>(png_get_io_ptr(png))->left_;
    if (count > left.size()) png_error(png, "the file ends early");
    std::memcpy(to, left.data(), count);
    left = left.subspan(count);
  }
  /// f() calls libpng and owns nothing, for a jump skips its end. False: `message_` says why.
  template <class F>
  bool run(F&& f) {
    if (setjmp(escape_) != 0) return false;
    f();
    return true;
  }

  Bytes left_;
  const std::string& file_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf escape_{};
  char message_[200] = "no memory";
};

}  // namespace

const Codec png_codec{
    "PNG", &is_png,
    [](Bytes bytes, const std::string& file) { return PngFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { PngFile(bytes, file).decode(out); }};

}  // namespace exciton::data
