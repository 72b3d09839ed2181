#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "exciton/data/codec.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

bool is_gif(Bytes bytes) {
  return bytes.size() >= 6 && (std::memcmp(bytes.data(), "GIF87a", 6) == 0 ||
                               std::memcmp(bytes.data(), "GIF89a", 6) == 0);
}

/// A GIF read up to the pixels of its first frame.
class GifFile {
 public:
  GifFile(Bytes bytes, const std::string& file) : left_(bytes), file_(file) {
    gif_.reset(DGifOpen(this, &GifFile::on_read, nullptr));
    check_good(gif_ != nullptr);
    find_frame();
    const GifImageDesc& frame = gif_->Image;
    header.size = {std::max<std::int64_t>(gif_->SHeight, std::int64_t{frame.Top} + frame.Height),
                   std::max<std::int64_t>(gif_->SWidth, std::int64_t{frame.Left} + frame.Width)};
    header.channels = 3;
    check_good(frame.Width >= 1 && frame.Height >= 1);
    check_extent(file_, header.size.width, header.size.height);
  }

  StoredHeader header;

  /// The frame in its place; around it the colour that stands for transparent, else the first one.
  void decode(Image& out) {
    const GifImageDesc& frame = gif_->Image;
    const std::int64_t pixels = header.size.height * header.size.width;
    check_memory(file_, 3 * pixels);
    out = {header.size.height, header.size.width, 3, std::move(out.pixels)};
    const std::array<std::uint8_t, 3> around = colour(std::max(transparent_, 0));
    out.pixels.resize(static_cast<std::size_t>(3 * pixels));
    for (std::size_t i = 0; i < out.pixels.size(); ++i) out.pixels[i] = around[i % 3];

    std::vector<GifPixelType> row(static_cast<std::size_t>(frame.Width));
    const auto read_row = [&](int y) {
      check_good(DGifGetLine(gif_.get(), row.data(), frame.Width) == GIF_OK);
      std::uint8_t* to = out.pixels.data() + 3 * ((frame.Top + y) * header.size.width + frame.Left);
      for (const GifPixelType index : row) to = std::copy_n(colour(index).begin(), 3, to);
    };
    if (!frame.Interlace) {
      for (int y = 0; y < frame.Height; ++y) read_row(y);
      return;
    }
    constexpr std::array<std::pair<int, int>, 4> passes{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
    for (const auto& [first, step] : passes)
      for (int y = first; y < frame.Height; y += step) read_row(y);
  }

 private:
  static int on_read(GifFileType* gif, GifByteType* to, int count) {
    Bytes& left = static_cast<GifFile*>(gif->UserData)->left_;
    const std::size_t got = std::min(left.size(), static_cast<std::size_t>(std::max(count, 0)));
    std::copy_n(left.begin(), got, to);
    left = left.subspan(got);
    return static_cast<int>(got);
  }
  void check_good(bool good) const { check(good, "image: ", file_, ": damaged or truncated GIF"); }

  /// Reads up to the first frame, and on the way which colour is transparent in it.
  void find_frame() {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    while (true) {
      check_good(DGifGetRecordType(gif_.get(), &type) == GIF_OK);
      if (type == IMAGE_DESC_RECORD_TYPE) {
        check_good(DGifGetImageDesc(gif_.get()) == GIF_OK);
        return;
      }
      check_good(type == EXTENSION_RECORD_TYPE);
      int code = 0;
      GifByteType* block = nullptr;
      check_good(DGifGetExtension(gif_.get(), &code, &block) == GIF_OK);
      GraphicsControlBlock control{};
      if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent_ = control.TransparentColor;
      while (block != nullptr) check_good(DGifGetExtensionNext(gif_.get(), &block) == GIF_OK);
    }
  }

  /// Of the frame's palette or the file's; without any, grey levels.
  std::array<std::uint8_t, 3> colour(int index) const {
    const ColorMapObject* map = gif_->Image.ColorMap ? gif_->Image.ColorMap : gif_->SColorMap;
    if (map == nullptr) {
      const auto level = static_cast<std::uint8_t>(index);
      return {level, level, level};
    }
    if (index >= map->ColorCount) return {0, 0, 0};
    const GifColorType& c = map->Colors[index];
    return {c.Red, c.Green, c.Blue};
  }

  static void close(GifFileType* gif) { DGifCloseFile(gif, nullptr); }

  Bytes left_;
  const std::string& file_;
  int transparent_ = NO_TRANSPARENT_COLOR;
  std::unique_ptr<GifFileType, decltype(&GifFile::close)> gif_{nullptr, &GifFile::close};
};

}  // namespace

const Codec gif_codec{
    "GIF", &is_gif,
    [](Bytes bytes, const std::string& file) { return GifFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { GifFile(bytes, file).decode(out); }};

}  // namespace exciton::data
