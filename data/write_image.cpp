#include "exciton/data/write_image.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>

// libjpeg's header wants the one above it.
#include <jpeglib.h>

#include "exciton/core/error.hpp"
#include "exciton/core/file.hpp"

namespace exciton::data {
namespace {

void check_pixels(const Image& image) {
  check(image.height >= 1 && image.width >= 1 && (image.channels == 1 || image.channels == 3) &&
            std::ssize(image.pixels) == image.height * image.width * image.channels,
        "image: cannot write ", image.width, " x ", image.height, " pixels of ", image.channels,
        " channels, expected grey or RGB");
}

/// libjpeg's state, and where it jumps to instead of ending the process.
struct JpegWriter {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf escape{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;

  JpegWriter() {
    jpeg.err = jpeg_std_error(&errors);
    jpeg.client_data = this;
    errors.error_exit = [](j_common_ptr common) {
      std::longjmp(static_cast<JpegWriter*>(common->client_data)->escape, 1);
    };
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&jpeg);
    std::free(bytes);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  /// False: libjpeg gave up. Owns nothing, for a jump skips its end.
  bool run(const Image& image, int quality) {
    if (setjmp(escape) != 0) return false;
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = static_cast<JDIMENSION>(image.width);
    jpeg.image_height = static_cast<JDIMENSION>(image.height);
    jpeg.input_components = static_cast<int>(image.channels);
    jpeg.in_color_space = image.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
      auto* row =
          const_cast<JSAMPROW>(image.pixels.data()) +
          std::size_t{jpeg.next_scanline} * static_cast<std::size_t>(image.width * image.channels);
      jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    return true;
  }
};

}  // namespace

std::string encode_jpeg(const Image& image, int quality) {
  check_pixels(image);
  JpegWriter writer;
  check(writer.run(image, quality), "image: cannot write ", image.width, " x ", image.height,
        " pixels as JPEG");
  return {reinterpret_cast<const char*>(writer.bytes), writer.size};
}

std::string encode_png(const Image& image) {
  check_pixels(image);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = 0;
  const auto write = [&](void* to) {
    return png_image_write_to_memory(&png, to, &size, 0, image.pixels.data(), 0, nullptr) != 0;
  };
  std::string out;
  bool done = write(nullptr);  // asks for the size
  if (done) {
    out.resize(size);
    done = write(out.data());
  }
  check(done, "image: cannot write ", image.width, " x ", image.height,
        " pixels as PNG: ", png.message);
  out.resize(size);
  return out;
}

void write_image(const std::filesystem::path& path, const Image& image) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  const bool jpeg = ending == ".jpg" || ending == ".jpeg";
  check(jpeg || ending == ".png", "image: cannot write ", path.string(),
        "; expected a name that ends in .jpg or .png");
  write_text(path, jpeg ? encode_jpeg(image) : encode_png(image), "image");
}

void draw_box(Image& image, const Box& box, const Colour& colour, std::int64_t thickness) {
  check(image.channels == 3, "image: boxes are drawn into RGB, not ", image.channels, " channels");
  const auto rounded = [](double x, std::int64_t most) {
    return static_cast<std::int64_t>(std::lround(std::clamp(x, 0.0, static_cast<double>(most))));
  };
  const std::int64_t left = rounded(box.left, image.width), top = rounded(box.top, image.height),
                     right = rounded(box.left + box.width, image.width),
                     bottom = rounded(box.top + box.height, image.height);
  for (std::int64_t y = top; y < bottom; ++y)
    for (std::int64_t x = left; x < right; ++x) {
      if (std::min({x - left, right - 1 - x, y - top, bottom - 1 - y}) >= thickness) {
        x = right - thickness - 1;  // the inside
        continue;
      }
      std::ranges::copy(colour, image.pixels.begin() + 3 * (y * image.width + x));
    }
}

}  // namespace exciton::data
