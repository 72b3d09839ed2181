/// What the data tests share: temporary folders, tiny files in every layout, expected errors.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "exciton/core/error.hpp"
#include "exciton/data/dataset.hpp"
#include "exciton/data/memory_dataset.hpp"
#include "tests/temp_dir.hpp"

namespace exciton::data::testing {

using Bytes = std::vector<std::uint8_t>;

using test_support::TempDir;

/// Makes the folders above `path`, too.
void write_file(const std::filesystem::path& path, const Bytes& bytes);
void write_file(const std::filesystem::path& path, const std::string& text);
Bytes gzip(const Bytes& bytes);

/// [h, w, c] with smooth colours that differ with `shade`; JPEG keeps it nearly.
Image smooth_image(std::int64_t h, std::int64_t w, std::int64_t c, int shade);
/// [h, w, c] of independent pixels.
Image noise_image(std::int64_t h, std::int64_t w, std::int64_t c, std::uint64_t seed);

/// tests/golden/images/`name`, decoded to `channels`; made by tests/golden/make_image_golden.py.
Image golden_image(const std::string& name, std::int64_t channels = 3);
/// Expects equal extents and no value further away than `tolerance`.
void expect_near(const Image& got, const Image& want, int tolerance, const std::string& what = "");

/// A JPEG of an RGB or grey image, 4:4:4; `cmyk` stores it as YCCK with the Adobe marker.
Bytes jpeg(const Image& image, int quality = 95, bool cmyk = false);
/// An RGB image with half the chroma, as cameras write it.
Bytes jpeg_420(const Image& image, int quality);
/// A PNG of a grey, RGB or RGBA image.
Bytes png(const Image& image);

/// `count` noise images of one size with labels index % classes.
std::shared_ptr<MemoryDataset> noise_dataset(std::int64_t count, std::int64_t side = 8,
                                             std::int64_t channels = 3, int classes = 10);

/// The message of the exciton::Error that f throws; fails the test when it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

/// Expects that f throws an Error of one line that has all of `parts`.
template <class F>
void expect_error(F&& f, std::initializer_list<std::string> parts) {
  const std::string message = error_of(f);
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" in: " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace exciton::data::testing
