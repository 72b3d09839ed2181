#include "support.hpp"

#include <png.h>
#include <stdlib.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <cstdlib>
#include <fstream>

#include "exciton/core/random.hpp"
#include "exciton/data/image.hpp"

namespace exciton::data::testing {
namespace fs = std::filesystem;

void write_file(const fs::path& path, const Bytes& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  check(out.good(), "test: cannot write ", path.string());
}

void write_file(const fs::path& path, const std::string& text) {
  write_file(path, Bytes(text.begin(), text.end()));
}

Bytes gzip(const Bytes& bytes) {
  z_stream z{};
  check(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "test: zlib");
  Bytes in = bytes, out(deflateBound(&z, bytes.size()) + 64);
  z.next_in = in.data();
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  check(deflate(&z, Z_FINISH) == Z_STREAM_END, "test: zlib");
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

Image smooth_image(std::int64_t h, std::int64_t w, std::int64_t c, int shade) {
  Image out{h, w, c, {}};
  for (std::int64_t y = 0; y < h; ++y)
    for (std::int64_t x = 0; x < w; ++x)
      for (std::int64_t k = 0; k < c; ++k)
        out.pixels.push_back(
            static_cast<std::uint8_t>((shade + 3 * y + 2 * x * (k == 1) + 60 * k) % 256));
  return out;
}

Image noise_image(std::int64_t h, std::int64_t w, std::int64_t c, std::uint64_t seed) {
  Image out{h, w, c, Bytes(static_cast<std::size_t>(h * w * c))};
  Generator rng(seed);
  for (auto& p : out.pixels) p = static_cast<std::uint8_t>(rng.below(256));
  return out;
}

Image golden_image(const std::string& name, std::int64_t channels) {
  return decode_image(fs::path(EXCITON_GOLDEN_DIR) / "images" / name, channels);
}

void expect_near(const Image& got, const Image& want, int tolerance, const std::string& what) {
  ASSERT_EQ(got.height, want.height) << what;
  ASSERT_EQ(got.width, want.width) << what;
  ASSERT_EQ(got.channels, want.channels) << what;
  ASSERT_EQ(got.pixels.size(), want.pixels.size()) << what;
  for (std::size_t i = 0; i < got.pixels.size(); ++i)
    ASSERT_LE(std::abs(got.pixels[i] - want.pixels[i]), tolerance) << what << ", value " << i;
}

namespace {

Bytes compressed(const Bytes& pixels, const Image& image, int format, int chroma, int quality) {
  const std::unique_ptr<void, decltype(&tjDestroy)> tj(tjInitCompress(), &tjDestroy);
  unsigned char* buffer = nullptr;
  unsigned long bytes = 0;
  const int code =
      tjCompress2(tj.get(), pixels.data(), static_cast<int>(image.width), 0,
                  static_cast<int>(image.height), format, &buffer, &bytes, chroma, quality, 0);
  check(code == 0, "test: ", tjGetErrorStr2(tj.get()));
  Bytes out(buffer, buffer + bytes);
  tjFree(buffer);
  return out;
}

}  // namespace

Bytes jpeg_420(const Image& image, int quality) {
  return compressed(image.pixels, image, TJPF_RGB, TJSAMP_420, quality);
}

Bytes jpeg(const Image& image, int quality, bool cmyk) {
  Bytes pixels = image.pixels;
  int format = image.channels == 1 ? TJPF_GRAY : TJPF_RGB;
  if (cmyk) {  // Adobe's way: values count the light, black is none
    format = TJPF_CMYK;
    pixels.clear();
    for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
      pixels.insert(pixels.end(), image.pixels.begin() + static_cast<std::ptrdiff_t>(i),
                    image.pixels.begin() + static_cast<std::ptrdiff_t>(i) + 3);
      pixels.push_back(255);
    }
  }
  return compressed(pixels, image, format, image.channels == 1 ? TJSAMP_GRAY : TJSAMP_444, quality);
}

Bytes png(const Image& image) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = image.channels == 1   ? PNG_FORMAT_GRAY
                  : image.channels == 3 ? PNG_FORMAT_RGB
                                        : PNG_FORMAT_RGBA;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  Bytes out(bytes);
  const int ok =
      png_image_write_to_memory(&header, out.data(), &bytes, 0, image.pixels.data(), 0, nullptr);
  check(ok != 0, "test: ", header.message);
  out.resize(bytes);
  return out;
}

std::shared_ptr<MemoryDataset> noise_dataset(std::int64_t count, std::int64_t side,
                                             std::int64_t channels, int classes) {
  MemoryDataset::Contents c;
  c.description = "noise, " + std::to_string(count) + " images";
  c.height = c.width = side;
  c.channels = channels;
  c.pixels = noise_image(count * side, side, channels, 7).pixels;
  for (std::int64_t i = 0; i < count; ++i) c.labels.push_back(i % classes);
  for (int i = 0; i < classes; ++i) c.class_names.push_back("class" + std::to_string(i));
  return std::make_shared<MemoryDataset>(std::move(c));
}

}  // namespace exciton::data::testing
