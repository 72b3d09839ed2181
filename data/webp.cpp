#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "exciton/data/codec.hpp"
#include "exciton/data/exif.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data {
namespace {

using Bytes = Codec::Bytes;

bool is_webp(Bytes bytes) {
  return bytes.size() >= 12 && std::memcmp(bytes.data(), "RIFF", 4) == 0 &&
         std::memcmp(bytes.data() + 8, "WEBP", 4) == 0;
}

/// A WebP taken apart into frames and metadata.
class WebpFile {
 public:
  WebpFile(Bytes bytes, const std::string& file) : file_(file) {
    const WebPData data{bytes.data(), bytes.size()};
    demux_.reset(WebPDemux(&data));
    check(demux_ != nullptr, "image: ", file_, ": damaged or truncated WebP");
    header.size = {WebPDemuxGetI(demux_.get(), WEBP_FF_CANVAS_HEIGHT),
                   WebPDemuxGetI(demux_.get(), WEBP_FF_CANVAS_WIDTH)};
    check_extent(file_, header.size.width, header.size.height);
    const auto flags = WebPDemuxGetI(demux_.get(), WEBP_FF_FORMAT_FLAGS);
    header.channels = (flags & ALPHA_FLAG) != 0 ? 4 : 3;
    WebPChunkIterator chunk{};
    if (WebPDemuxGetChunk(demux_.get(), "EXIF", 1, &chunk) != 0)
      header.orientation = exif_orientation({chunk.chunk.bytes, chunk.chunk.size});
    WebPDemuxReleaseChunkIterator(&chunk);
  }

  StoredHeader header;

  void decode(Image& out) const {
    WebPIterator frame{};
    const bool found = WebPDemuxGetFrame(demux_.get(), 1, &frame) != 0;
    const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> release(
        &frame, &WebPDemuxReleaseIterator);
    const auto& [height, width] = header.size;
    WebPBitstreamFeatures features{};
    check(found && frame.x_offset >= 0 && frame.y_offset >= 0 &&
              frame.x_offset + frame.width <= width && frame.y_offset + frame.height <= height &&
              WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &features) ==
                  VP8_STATUS_OK &&
              features.width == frame.width && features.height == frame.height,
          "image: ", file_, ": damaged or truncated WebP");
    constexpr int lossless = 2;
    const std::int64_t pixels = width * height;
    check_memory(file_, pixels * 3 + pixels * (features.format == lossless ? 4 : 1));
    out = {height, width, 3, std::move(out.pixels)};
    out.pixels.assign(static_cast<std::size_t>(3 * pixels), 0);
    const std::size_t first =
        static_cast<std::size_t>(3 * (frame.y_offset * width + frame.x_offset));
    const auto* done =
        WebPDecodeRGBInto(frame.fragment.bytes, frame.fragment.size, out.pixels.data() + first,
                          out.pixels.size() - first, static_cast<int>(3 * width));
    check(done != nullptr, "image: ", file_, ": damaged or truncated WebP");
  }

 private:
  const std::string& file_;
  std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demux_{nullptr, &WebPDemuxDelete};
};

}  // namespace

const Codec webp_codec{
    "WebP", &is_webp,
    [](Bytes bytes, const std::string& file) { return WebpFile(bytes, file).header; },
    [](Bytes bytes, const std::string& file, Image& out) { WebpFile(bytes, file).decode(out); }};

}  // namespace exciton::data
