#include "exciton/data/image.hpp"

#include <algorithm>
#include <cstdlib>
#include <span>

#include "exciton/data/files.hpp"

#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

Image decode(const Bytes& bytes, std::int64_t channels) {
  return decode_image(std::span<const std::uint8_t>(bytes), "test image", channels);
}

Image grey_of(const Image& rgb) {
  Image out{rgb.height, rgb.width, 1, {}};
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3)
    out.pixels.push_back(static_cast<std::uint8_t>(
        0.299 * rgb.pixels[i] + 0.587 * rgb.pixels[i + 1] + 0.114 * rgb.pixels[i + 2] + 0.5));
  return out;
}

Image rgb_of(const Image& grey) {
  Image out{grey.height, grey.width, 3, {}};
  for (const auto v : grey.pixels) out.pixels.insert(out.pixels.end(), 3, v);
  return out;
}

// 20 rows of at most 75 grey levels: smooth_image wraps nowhere.
const Image colour = smooth_image(20, 17, 3, 10);
const Image grey = smooth_image(20, 17, 1, 90);

TEST(Image, jpeg_to_rgb_and_grey) {
  expect_near(decode(jpeg(colour), 3), colour, 6);
  expect_near(decode(jpeg(colour), 1), grey_of(colour), 6);
}

TEST(Image, grey_jpeg_to_grey_and_rgb) {
  expect_near(decode(jpeg(grey), 1), grey, 4);
  expect_near(decode(jpeg(grey), 3), rgb_of(grey), 4);
}

TEST(Image, cmyk_jpeg_to_rgb_and_grey) {
  expect_near(decode(jpeg(colour, 95, true), 3), colour, 6);
  expect_near(decode(jpeg(colour, 95, true), 1), grey_of(colour), 6);
}

// Without Adobe's marker the four values count ink: the same file then reads inverted, and with
// no light in the black channel everywhere that is (255 - c) * 0.
TEST(Image, cmyk_jpeg_without_adobe_marker_counts_ink) {
  Bytes bytes = jpeg(colour, 95, true);
  const std::string adobe = "Adobe";
  const auto at = std::search(bytes.begin(), bytes.end(), adobe.begin(), adobe.end());
  ASSERT_NE(at, bytes.end());
  *at = 'a';
  Image black{20, 17, 3, Bytes(20 * 17 * 3, 0)};
  expect_near(decode(bytes, 3), black, 6);
}

TEST(Image, png_is_exact) {
  const Image noise = noise_image(9, 13, 3, 3), noise_grey = noise_image(9, 13, 1, 4);
  expect_near(decode(png(noise), 3), noise, 0);
  expect_near(decode(png(noise), 1), grey_of(noise), 1);
  expect_near(decode(png(noise_grey), 1), noise_grey, 0);
  expect_near(decode(png(noise_grey), 3), rgb_of(noise_grey), 0);
}

TEST(Image, png_alpha_is_dropped) {
  const Image rgba = noise_image(4, 5, 4, 5);
  Image want{4, 5, 3, {}};
  for (std::size_t i = 0; i < rgba.pixels.size(); ++i)
    if (i % 4 != 3) want.pixels.push_back(rgba.pixels[i]);
  expect_near(decode(png(rgba), 3), want, 0);
}

TEST(Image, file_is_told_by_its_contents) {
  const TempDir dir;
  write_file(dir / "really_png.jpg", png(colour));
  expect_near(decode_image(dir / "really_png.jpg"), colour, 0);
}

TEST(Image, missing_file) {
  expect_error([] { decode_image(std::filesystem::path("nowhere.jpg")); },
               {"cannot open nowhere.jpg: No such file"});
}

TEST(Image, folder_in_place_of_a_file) {
  const TempDir dir;
  expect_error([&] { decode_image(dir.path()); },
               {dir.path().string(), "is a folder, expected a file"});
}

TEST(Image, empty_file) {
  const TempDir dir;
  write_file(dir / "a.jpg", Bytes{});
  expect_error([&] { decode_image(dir / "a.jpg"); }, {"a.jpg is empty"});
}

TEST(Image, no_format_that_is_read) {
  const TempDir dir;
  write_file(dir / "a.jpg", std::string("MIT licence and so on, for many bytes"));
  expect_error([&] { decode_image(dir / "a.jpg"); }, {"a.jpg", "neither JPEG nor PNG", "WebP"});
  write_file(dir / "b.jpg", std::string("GIF89a and so on"));
  expect_error([&] { decode_image(dir / "b.jpg"); }, {"b.jpg", "damaged or truncated GIF"});
}

const std::filesystem::path golden = EXCITON_GOLDEN_DIR "/images";

TEST(Image, every_format_has_the_same_pixels) {
  for (const auto& [file, twin] : std::vector<std::pair<const char*, const char*>>{
           {"formats.webp", "formats.png"},
           {"formats.bmp", "formats.png"},
           {"formats.ppm", "formats.png"},
           {"formats.tif", "formats.png"},
           {"formats_palette.gif", "formats_palette.png"},
           {"formats_palette.bmp", "formats_palette.png"},
           {"formats_grey.pgm", "formats_grey.png"},
           {"formats_grey.tif", "formats_grey.png"},
           {"formats_exif6.png", "formats_turned.png"},
           {"formats_exif6.webp", "formats_turned.png"}}) {
    const Image got = decode_image(golden / file), expected = decode_image(golden / twin);
    EXPECT_EQ(got.height, expected.height) << file;
    EXPECT_EQ(got.width, expected.width) << file;
    EXPECT_EQ(got.pixels, expected.pixels) << file;
    const auto bytes = read_file(golden / file);
    const ImageHeader header = read_image_header(bytes, file);
    EXPECT_EQ(header.size, (Size{expected.height, expected.width})) << file;
  }
}

/// Every beginning of a file, and every file with a byte changed, is an image or one error.
TEST(Image, damaged_files_of_every_format_end_in_an_error) {
  for (const char* file : {"formats.webp", "formats.bmp", "formats.ppm", "formats.tif",
                           "formats_palette.gif", "formats_palette.bmp", "formats_grey.pgm",
                           "formats_grey.tif", "formats_exif6.png", "formats_exif6.webp"}) {
    const auto bytes = read_file(golden / file);
    const auto tried = [&](std::span<const std::uint8_t> part) {
      try {
        decode_image(part, file, 3);
      } catch (const Error& error) {
        ASSERT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
      }
    };
    for (std::size_t n = 0; n < bytes.size(); ++n) tried(std::span(bytes).first(n));
    for (std::size_t i = 0; i < bytes.size(); ++i)
      for (const int flip : {1, 0x80, 0xff}) {
        auto other = bytes;
        other[i] = static_cast<std::uint8_t>(other[i] ^ flip);
        tried(other);
      }
  }
}

TEST(Image, truncated_jpeg) {
  Bytes bytes = jpeg(noise_image(64, 64, 3, 1));
  bytes.resize(bytes.size() / 2);
  expect_error([&] { decode(bytes, 3); }, {"test image", "truncated JPEG"});
  bytes.resize(12);
  expect_error([&] { decode(bytes, 3); }, {"test image", "JPEG"});
}

TEST(Image, truncated_png) {
  Bytes bytes = png(noise_image(64, 64, 3, 1));
  bytes.resize(bytes.size() / 2);
  expect_error([&] { decode(bytes, 3); }, {"test image", "truncated PNG"});
  bytes.resize(12);
  expect_error([&] { decode(bytes, 3); }, {"test image", "PNG"});
}

TEST(Image, header_of_a_gigantic_image) {
  Bytes bytes = jpeg(colour);
  for (std::size_t i = 0; i + 9 < bytes.size(); ++i)
    if (bytes[i] == 0xff && bytes[i + 1] == 0xc0) {
      for (std::size_t k = 5; k < 9; ++k) bytes[i + k] = 0xea;  // 60138 x 60138
      break;
    }
  expect_error([&] { decode(bytes, 3); }, {"test image", "60138 x 60138", "at most"});
}

TEST(Image, no_memory_is_taken_for_a_gigantic_header) {
  Bytes bytes = jpeg(colour);
  for (std::size_t i = 0; i + 9 < bytes.size(); ++i)
    if (bytes[i] == 0xff && bytes[i + 1] == 0xc0) {
      bytes[i + 5] = bytes[i + 7] = 30000 >> 8;
      bytes[i + 6] = bytes[i + 8] = 30000 & 0xff;
      break;
    }
  Image out;
  expect_error([&] { read_image_header(bytes, "huge.jpg"); }, {"huge.jpg", "30000 x 30000"});
  expect_error([&] { decode_image(bytes, "huge.jpg", 3, out); }, {"huge.jpg", "30000 x 30000"});
  const auto all = [](Size s) {
    const View view{whole(s), {8, 8}};
    return view;
  };
  const auto decode = [&] { decode_view(bytes, "huge.jpg", 3, all, out); };
  expect_error(decode, {"huge.jpg", "30000 x 30000"});
  EXPECT_EQ(out.pixels.capacity(), 0u);
}

TEST(Image, channels_wanted) {
  expect_error([] { decode(jpeg(colour), 2); }, {"1 or 3 channels", "got 2"});
}

}  // namespace
}  // namespace exciton::data
