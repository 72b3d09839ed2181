#include "data/image.hpp"

#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "data/files.hpp"

namespace exciton::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

template <std::size_t n>
bool starts_with(Bytes bytes, const std::array<std::uint8_t, n>& magic) {
  return bytes.size() >= n && std::equal(magic.begin(), magic.end(), bytes.begin());
}

void check_extent(const std::string& name, std::int64_t width, std::int64_t height) {
  check(width >= 1 && height >= 1 && width <= max_pixels / height, "image: ", name, " is ", width,
        " x ", height, " pixels; wants at most ", max_pixels, " pixels");
}

/// RGB from `stride` values a pixel to out.channels.
void store(const std::vector<std::uint8_t>& from, std::size_t stride, Image& out) {
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

/// True when the header has Adobe's APP14 marker, whose CMYK values count the light, not the ink.
bool has_adobe_marker(Bytes jpeg) {
  std::size_t at = 2;
  while (at + 4 <= jpeg.size() && jpeg[at] == 0xff) {
    const std::uint8_t marker = jpeg[at + 1];
    if (marker == 0xda) return false;  // scan data follows
    if (marker == 0xff) {              // fill byte
      ++at;
      continue;
    }
    const std::size_t length = static_cast<std::size_t>(jpeg[at + 2] << 8 | jpeg[at + 3]);
    constexpr std::string_view adobe = "Adobe";
    if (marker == 0xee && length >= 2 + adobe.size() && at + 4 + adobe.size() <= jpeg.size() &&
        std::equal(adobe.begin(), adobe.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at) + 4))
      return true;
    at += 2 + length;
  }
  return false;
}

void decode_jpeg(Bytes bytes, const std::string& name, Image& out) {
  const std::unique_ptr<void, decltype(&tjDestroy)> jpeg(tjInitDecompress(), &tjDestroy);
  check(jpeg != nullptr, "image: ", name, ": no JPEG decoder: ", tjGetErrorStr2(nullptr));
  int width = 0, height = 0, subsampling = 0, colours = 0;
  const int header = tjDecompressHeader3(jpeg.get(), bytes.data(), bytes.size(), &width, &height,
                                         &subsampling, &colours);
  const bool known = header == 0 || tjGetErrorCode(jpeg.get()) == TJERR_WARNING;
  check(known && width >= 1 && height >= 1, "image: ", name,
        ": damaged or truncated JPEG: ", known ? "no image in it" : tjGetErrorStr2(jpeg.get()));
  check_extent(name, width, height);
  out.width = width;
  out.height = height;

  const auto decompress = [&](int format, std::vector<std::uint8_t>& pixels) {
    pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                  static_cast<std::size_t>(tjPixelSize[format]));
    if (tjDecompress2(jpeg.get(), bytes.data(), bytes.size(), pixels.data(), width, 0, height,
                      format, 0) == 0)
      return;
    // Warnings about stray bytes leave a good image; one about missing data leaves grey blocks.
    const std::string_view what = tjGetErrorStr2(jpeg.get());
    const bool missing = what.find("remature end") != std::string_view::npos;
    check(tjGetErrorCode(jpeg.get()) == TJERR_WARNING && !missing, "image: ", name,
          ": damaged or truncated JPEG: ", what);
  };
  if (colours != TJCS_CMYK && colours != TJCS_YCCK)
    return decompress(out.channels == 1 ? TJPF_GRAY : TJPF_RGB, out.pixels);

  std::vector<std::uint8_t> cmyk;
  decompress(TJPF_CMYK, cmyk);
  const int ink = has_adobe_marker(bytes) ? 0 : 255;  // value of no light: xor gives light
  for (std::size_t i = 0; i < cmyk.size(); i += 4) {
    const int black = cmyk[i + 3] ^ ink;
    for (std::size_t c = 0; c < 3; ++c)
      cmyk[i + c] = static_cast<std::uint8_t>(((cmyk[i + c] ^ ink) * black + 127) / 255);
  }
  store(cmyk, 4, out);
}

void decode_png(Bytes bytes, const std::string& name, Image& out) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&png_image_free)> guard(&png, &png_image_free);
  const bool begun = png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) != 0;
  check(begun, "image: ", name, ": damaged PNG: ", png.message);
  check_extent(name, png.width, png.height);
  png.format = PNG_FORMAT_RGBA;
  png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  std::vector<std::uint8_t> rgba(PNG_IMAGE_SIZE(png));
  const bool done = png_image_finish_read(&png, nullptr, rgba.data(), 0, nullptr) != 0;
  check(done, "image: ", name, ": damaged or truncated PNG: ", png.message);
  out.width = png.width;
  out.height = png.height;
  store(rgba, 4, out);
}

}  // namespace

void decode_image(Bytes bytes, const std::string& name, std::int64_t channels, Image& out) {
  check(channels == 1 || channels == 3, "image: wants 1 or 3 channels, got ", channels);
  check(!bytes.empty(), "image: ", name, " is empty");
  out.channels = channels;
  if (starts_with<3>(bytes, {0xff, 0xd8, 0xff})) return decode_jpeg(bytes, name, out);
  if (starts_with<8>(bytes, {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}))
    return decode_png(bytes, name, out);
  fail("image: ", name, " is neither JPEG nor PNG");
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
