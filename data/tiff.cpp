#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "exciton/data/codec.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

bool is_tiff(Bytes bytes) {
  if (bytes.size() < 8) return false;
  for (const char* magic : {"II\x2a\0", "MM\0\x2a", "II\x2b\0", "MM\0\x2b"})
    if (std::memcmp(bytes.data(), magic, 4) == 0) return true;
  return false;
}

/// The first page of a TIFF in memory.
class TiffFile {
 public:
  TiffFile(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(
        TIFFOpenOptionsAlloc(), &TIFFOpenOptionsFree);
    check_good(options != nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), max_image_memory / 2);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &TiffFile::on_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, va_list) { return 1; }, nullptr);
    tiff_.reset(TIFFClientOpenExt(
        "memory", "rm", this, &TiffFile::on_read,
        [](thandle_t, void*, tmsize_t) -> tmsize_t { return -1; }, &TiffFile::on_seek,
        [](thandle_t) { return 0; },
        [](thandle_t self) { return static_cast<toff_t>(of(self).bytes_.size()); },
        [](thandle_t, void**, toff_t*) { return 0; }, [](thandle_t, void*, toff_t) {},
        options.get()));
    check_good(tiff_ != nullptr);
    std::uint32_t width = 0, height = 0;
    std::uint16_t samples = 1, photometric = PHOTOMETRIC_MINISBLACK, orientation = 1;
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGELENGTH, &height);
    check_extent(file_, width, height);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_SAMPLESPERPIXEL, &samples);
    TIFFGetField(tiff_.get(), TIFFTAG_PHOTOMETRIC, &photometric);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_ORIENTATION, &orientation);
    header.size = {height, width};
    header.channels = photometric == PHOTOMETRIC_PALETTE ? 3 : std::clamp<int>(samples, 1, 4);
    header.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  TiffFile(const TiffFile&) = delete;
  TiffFile& operator=(const TiffFile&) = delete;

  StoredHeader header;

  void decode(Image& out) {
    const auto& [height, width] = header.size;
    check_memory(file_, 7 * width * height);
    keep_colours();
    TIFFRGBAImage image{};
    std::array<char, 1024> why{};  // libtiff knows no other size
    const bool known = TIFFRGBAImageOK(tiff_.get(), why.data()) != 0 &&
                       TIFFRGBAImageBegin(&image, tiff_.get(), 1, why.data()) != 0;
    check(known, "image: ", file_, ": a TIFF that is not read: ", why.data());
    const std::unique_ptr<TIFFRGBAImage, decltype(&TIFFRGBAImageEnd)> end(&image,
                                                                          &TIFFRGBAImageEnd);
    image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;  // rows as they are stored
    std::vector<std::uint32_t> raster(static_cast<std::size_t>(width * height));
    check_good(TIFFRGBAImageGet(&image, raster.data(), static_cast<std::uint32_t>(width),
                                static_cast<std::uint32_t>(height)) != 0);
    const bool grey = header.channels <= 2;
    out = {height, width, grey ? 1 : 3, std::move(out.pixels)};
    out.pixels.resize(raster.size() * static_cast<std::size_t>(out.channels));
    std::uint8_t* to = out.pixels.data();
    for (const std::uint32_t pixel : raster) {
      *to++ = static_cast<std::uint8_t>(TIFFGetR(pixel));
      if (grey) continue;
      *to++ = static_cast<std::uint8_t>(TIFFGetG(pixel));
      *to++ = static_cast<std::uint8_t>(TIFFGetB(pixel));
    }
  }

 private:
  /// libtiff multiplies colours by a transparency that is called unassociated. It is dropped here,
  /// so the colours are to come as they are.
  void keep_colours() {
    std::uint16_t count = 0;
    std::uint16_t* kinds = nullptr;
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds);
    const std::vector<std::uint16_t> associated(count, EXTRASAMPLE_ASSOCALPHA);
    if (count > 0) TIFFSetField(tiff_.get(), TIFFTAG_EXTRASAMPLES, count, associated.data());
  }

  void check_good(bool good) const {
    check(good, "image: ", file_, ": damaged or truncated TIFF", message_[0] != '\0' ? ": " : "",
          message_.data());
  }

  static TiffFile& of(thandle_t self) { return *static_cast<TiffFile*>(self); }
  static int on_error(TIFF*, void* self, const char*, const char* format, va_list values) {
    TiffFile& file = of(self);
    if (file.message_[0] == '\0')
      std::vsnprintf(file.message_.data(), file.message_.size(), format, values);
    return 1;
  }
  static tmsize_t on_read(thandle_t self, void* to, tmsize_t count) {
    TiffFile& file = of(self);
    const std::size_t at = std::min(file.at_, file.bytes_.size());
    const std::size_t got =
        std::min(file.bytes_.size() - at, static_cast<std::size_t>(std::max<tmsize_t>(count, 0)));
    if (got > 0) std::memcpy(to, file.bytes_.data() + at, got);
    file.at_ = at + got;
    return static_cast<tmsize_t>(got);
  }
  static toff_t on_seek(thandle_t self, toff_t offset, int from) {
    TiffFile& file = of(self);
    const std::size_t base = from == SEEK_CUR   ? file.at_
                             : from == SEEK_END ? file.bytes_.size()
                                                : 0;
    return file.at_ = base + static_cast<std::size_t>(offset);
  }

  const Bytes bytes_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::array<char, 200> message_{};
  std::unique_ptr<TIFF, decltype(&TIFFClose)> tiff_{nullptr, &TIFFClose};
};

}  // namespace

const Codec tiff_codec{
    "TIFF", &is_tiff,
    [](Bytes bytes, const std::string& file) { return TiffFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { TiffFile(bytes, file).decode(out); }};

}  // namespace exciton::data
