#include "exciton/data/image.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "exciton/data/codec.hpp"
#include "exciton/data/exif.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/jpeg.hpp"
#include "exciton/data/resize.hpp"

namespace exciton::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

void check_view(const std::string& name, Size size, const View& view) {
  check(view.size.height >= 1 && view.size.width >= 1 && view.box.width > 0 &&
            view.box.height > 0 && view.box.left >= -1e-6 && view.box.top >= -1e-6 &&
            view.box.left + view.box.width <= static_cast<double>(size.width) + 1e-6 &&
            view.box.top + view.box.height <= static_cast<double>(size.height) + 1e-6,
        "image: ", name, ": a view outside of its ", size.height, " x ", size.width, " pixels");
}

template <std::size_t n>
bool starts_with(Bytes bytes, const std::array<std::uint8_t, n>& magic) {
  return bytes.size() >= n && std::equal(magic.begin(), magic.end(), bytes.begin());
}

/// RGB from `stride` values a pixel to out.channels.
void store(Bytes from, std::size_t stride, Image& out) {
  const std::size_t pixels = from.size() / stride;
  out.pixels.resize(pixels * static_cast<std::size_t>(out.channels));
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::uint8_t* p = from.data() + i * stride;
    if (out.channels == 3)
      std::copy_n(p, 3, out.pixels.data() + 3 * i);
    else  // thousandths, so that grey stays exactly what it was
      out.pixels[i] =
          static_cast<std::uint8_t>((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
  }
}

bool is_jpeg(Bytes bytes) { return starts_with<3>(bytes, {0xff, 0xd8, 0xff}); }

/// The format of a file that is no JPEG, or nullptr.
const Codec* find_codec(Bytes bytes) {
  constexpr std::array<const Codec*, 6> codecs{&png_codec,  &webp_codec, &gif_codec,
                                               &tiff_codec, &bmp_codec,  &pnm_codec};
  for (const Codec* codec : codecs)
    if (codec->recognises(bytes)) return codec;
  return nullptr;
}

/// The same. Errors: none that is read.
const Codec& codec_of(Bytes bytes, const std::string& name) {
  check(!bytes.empty(), "image: ", name, " is empty");
  if (const Codec* codec = find_codec(bytes)) return *codec;
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 16));
  if (start.size() > 11 && start.substr(4, 4) == "ftyp")
    fail("image: ", name, " is HEIC, AVIF or a video, which is not read; convert it to JPEG");
  fail("image: ", name, " is neither JPEG nor PNG, WebP, GIF, TIFF, BMP or PNM",
       start.starts_with('<') ? "; it looks like a web page" : "");
}

/// Grey or RGB to out.channels.
void convert(Image& stored, Image& out) {
  if (stored.channels == out.channels) {
    out.pixels.swap(stored.pixels);
  } else if (out.channels == 1) {
    store(stored.pixels, 3, out);
  } else {
    out.pixels.resize(3 * stored.pixels.size());
    for (std::size_t i = 0; i < stored.pixels.size(); ++i)
      std::fill_n(out.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, stored.pixels[i]);
  }
  out.height = stored.height;
  out.width = stored.width;
}

/// All of a file that is no JPEG, upright.
void decode_whole(Bytes bytes, const std::string& name, std::int64_t channels, Image& out) {
  const Codec& codec = codec_of(bytes, name);
  const int orientation = codec.header(bytes, name).orientation;
  Image stored;
  codec.decode(bytes, name, stored);
  out.channels = channels;
  convert(stored, out);
  if (orientation != 1) out = turned_upright(out, orientation);
}

/// The largest shrinking while decoding that leaves the box as large as the result.
int reduction_of(const Box& box, Size size) {
  int out = 1;
  while (out < 8 && box.width >= static_cast<double>(2 * out * size.width) &&
         box.height >= static_cast<double>(2 * out * size.height))
    out *= 2;
  return out;
}

/// The pixels along an axis of `pixels` that a box and its filter see, with room for the blurred
/// borders of a partial decode: [first, last).
std::pair<std::int64_t, std::int64_t> needed(double begin, double extent, std::int64_t outputs,
                                             std::int64_t pixels) {
  const double margin = std::max(1.0, extent / static_cast<double>(outputs)) + 3;
  return {std::max<std::int64_t>(0, static_cast<std::int64_t>(begin - margin)),
          std::min(pixels, static_cast<std::int64_t>(std::ceil(begin + extent + margin)))};
}

void decode_jpeg(JpegFile& file, std::int64_t channels, Image& out) {
  const Size size = file.size();
  file.decode(1, {0, 0, size.height, size.width}, channels, out);
  if (file.orientation() != 1) out = turned_upright(out, file.orientation());
}

void decode_jpeg(JpegFile& file, const std::string& name, std::int64_t channels,
                 const ViewRequest& request, Image& out) {
  const int orientation = file.orientation();
  const View view = request(turned(file.size(), orientation));
  check_view(name, turned(file.size(), orientation), view);
  const Size size = turned(view.size, orientation);
  Box box = stored_box(view.box, file.size(), orientation);
  const int reduction = view.exact ? 1 : reduction_of(box, size);
  for (double* value : {&box.left, &box.top, &box.width, &box.height}) *value /= reduction;
  const auto reduced = [&](std::int64_t pixels) { return (pixels + reduction - 1) / reduction; };
  const auto [top, bottom] = needed(box.top, box.height, size.height, reduced(file.size().height));
  const auto [left, right] = needed(box.left, box.width, size.width, reduced(file.size().width));

  Image part;
  const JpegFile::Area got =
      file.decode(reduction, {top, left, bottom - top, right - left}, channels, part);
  box.left -= static_cast<double>(got.left);
  box.top -= static_cast<double>(got.top);
  resize(part, box, size.height, size.width, out);
  if (orientation != 1) out = turned_upright(out, orientation);
}

}  // namespace

void check_extent(const std::string& name, std::int64_t width, std::int64_t height) {
  check(width >= 1 && height >= 1 && width <= max_pixels / height, "image: ", name, " is ", width,
        " x ", height, " pixels; expected at most ", max_pixels, " pixels");
}

void check_memory(const std::string& name, std::int64_t bytes) {
  check(bytes <= max_image_memory, "image: ", name, " takes ", bytes >> 20,
        " MiB to decode; expected at most ", max_image_memory >> 20, " MiB");
}

void store_cmyk(std::span<std::uint8_t> cmyk, bool counts_light, Image& out) {
  const int ink = counts_light ? 0 : 255;  // value of no light: xor gives light
  for (std::size_t i = 0; i + 3 < cmyk.size(); i += 4) {
    const int black = cmyk[i + 3] ^ ink;
    for (std::size_t c = 0; c < 3; ++c)
      cmyk[i + c] = static_cast<std::uint8_t>(((cmyk[i + c] ^ ink) * black + 127) / 255);
  }
  store(cmyk, 4, out);
}

bool is_image(Bytes bytes) { return is_jpeg(bytes) || find_codec(bytes) != nullptr; }

ImageHeader read_image_header(Bytes bytes, const std::string& name) {
  if (is_jpeg(bytes)) {
    const JpegFile file(bytes, name);
    return {turned(file.size(), file.orientation()), file.channels()};
  }
  const StoredHeader header = codec_of(bytes, name).header(bytes, name);
  return {turned(header.size, header.orientation), header.channels};
}

void decode_image(Bytes bytes, const std::string& name, std::int64_t channels, Image& out) {
  check(channels == 1 || channels == 3, "image: expected 1 or 3 channels, got ", channels);
  if (is_jpeg(bytes)) {
    JpegFile file(bytes, name);
    return decode_jpeg(file, channels, out);
  }
  decode_whole(bytes, name, channels, out);
}

void decode_view(Bytes bytes, const std::string& name, std::int64_t channels,
                 const ViewRequest& request, Image& out) {
  check(channels == 1 || channels == 3, "image: expected 1 or 3 channels, got ", channels);
  if (is_jpeg(bytes)) {
    JpegFile file(bytes, name);
    return decode_jpeg(file, name, channels, request, out);
  }
  Image full;
  decode_whole(bytes, name, channels, full);
  view_of(full, name, request, out);
}

void view_of(const Image& image, const std::string& name, const ViewRequest& request, Image& out) {
  const Size size{image.height, image.width};
  const View view = request(size);
  check_view(name, size, view);
  resize(image, view.box, view.size.height, view.size.width, out);
}

Image decode_image(Bytes bytes, const std::string& name, std::int64_t channels) {
  Image out;
  decode_image(bytes, name, channels, out);
  return out;
}

Image decode_image(const std::filesystem::path& path, std::int64_t channels) {
  return decode_image(read_file(path), path.string(), channels);
}

}  // namespace exciton::data
