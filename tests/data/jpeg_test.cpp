// JPEG files as Pillow wrote them, whole and in part.
#include "exciton/data/jpeg.hpp"

#include <cstdlib>

#include "exciton/data/exif.hpp"
#include "exciton/data/files.hpp"
#include "exciton/data/image.hpp"
#include "exciton/data/resize.hpp"
#include "support.hpp"

namespace exciton::data {
namespace {

using namespace testing;

Bytes golden_bytes(const std::string& name) {
  return read_file(std::filesystem::path(EXCITON_GOLDEN_DIR) / "images" / name);
}

double mean_difference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

TEST(Jpeg, every_kind_decodes_as_in_pillow) {
  for (const std::string name : {"baseline", "progressive", "full_chroma", "grey"})
    expect_near(golden_image(name + ".jpg"), golden_image(name + ".png"), 1, name);
  expect_near(golden_image("cmyk.jpg"), golden_image("cmyk.png"), 2, "cmyk");
}

TEST(Jpeg, exif_orientations_come_upright) {
  for (int turn = 1; turn <= 8; ++turn) {
    const std::string name = "exif" + std::to_string(turn);
    const Image want = golden_image(name + ".png");
    expect_near(golden_image(name + ".jpg"), want, 1, name);
    const ImageHeader header = read_image_header(golden_bytes(name + ".jpg"), name);
    EXPECT_EQ(header.size, (Size{want.height, want.width})) << name;
  }
}

TEST(Jpeg, a_view_of_a_turned_image_is_that_of_the_upright_one) {
  for (int turn = 1; turn <= 8; ++turn) {
    const std::string name = "exif" + std::to_string(turn);
    const Image upright = golden_image(name + ".png");
    const View view{{2.5, 1, 8, 6.25}, {5, 7}};
    Image got;
    const auto frame = [&](Size) { return view; };
    decode_view(golden_bytes(name + ".jpg"), name, 3, frame, got);
    expect_near(got, resize(upright, view.box, 5, 7), 2, name);
  }
}

/// A large picture with detail, as a JPEG with 4:2:0 chroma.
Bytes large_jpeg() { return jpeg_420(resize(golden_image("picture.png"), 470, 610), 90); }

TEST(Jpeg, a_partial_decode_is_a_part_of_the_whole) {
  const Bytes bytes = large_jpeg();
  const Image full = decode_image(std::span<const std::uint8_t>(bytes), "large", 3);
  for (const Box box : {Box{0, 0, 610, 470}, Box{100, 200, 90, 33}, Box{517, 3, 93, 400},
                        Box{33.5, 440.25, 16, 29}, Box{0, 469, 610, 1}, Box{300, 200, 1, 1}}) {
    const View view{box, {32, 48}};
    Image got;
    decode_view(
        bytes, "large", 3,
        [&](Size size) {
          EXPECT_EQ(size, (Size{470, 610}));
          return view;
        },
        got);
    expect_near(got, resize(full, box, 32, 48), 1);
  }
}

TEST(Jpeg, shrinking_while_decoding_changes_little) {
  const Bytes bytes = large_jpeg();
  const Image full = decode_image(std::span<const std::uint8_t>(bytes), "large", 3);
  for (const std::int64_t side : {110, 60, 20}) {  // by 2, 4 and 8 in one of them
    const Box box{70, 11, 440, 450};
    Image got;
    const View view{box, {side, side}, false};
    const auto frame = [&](Size) { return view; };
    decode_view(bytes, "large", 3, frame, got);
    EXPECT_LT(mean_difference(got, resize(full, box, side, side)), 1.0) << side;
  }
}

TEST(Jpeg, grey_view) {
  Image got;
  const Bytes bytes = golden_bytes("grey.jpg");
  const auto all = [](Size size) {
    const View view{whole(size), {10, 10}};
    return view;
  };
  decode_view(bytes, "grey", 1, all, got);
  EXPECT_EQ(got.channels, 1);
  decode_view(bytes, "grey", 3, all, got);
  EXPECT_EQ(got.pixels.size(), 300u);
}

TEST(Jpeg, header) {
  const ImageHeader cmyk = read_image_header(golden_bytes("cmyk.jpg"), "c");
  EXPECT_EQ(cmyk.size, (Size{47, 61}));
  EXPECT_EQ(cmyk.channels, 4);
  EXPECT_EQ(read_image_header(golden_bytes("grey.jpg"), "g").channels, 1);
  EXPECT_EQ(read_image_header(golden_bytes("picture.png"), "p").channels, 3);
  EXPECT_EQ(read_image_header(png(noise_image(3, 4, 4, 1)), "p").channels, 4);
}

TEST(Jpeg, view_outside_of_the_image) {
  Image got;
  const View outside{{50, 0, 20, 20}, {4, 4}};
  const auto frame = [&](Size) { return outside; };
  const auto decode = [&] { decode_view(golden_bytes("baseline.jpg"), "b.jpg", 3, frame, got); };
  expect_error(decode, {"b.jpg", "outside", "47 x 61"});
}

TEST(Jpeg, a_truncated_file_is_an_error_unless_the_part_is_whole) {
  Bytes bytes = large_jpeg();
  bytes.resize(bytes.size() / 2);
  Image got;
  View view{{0, 0, 100, 100}, {10, 10}};
  const auto frame = [&](Size) { return view; };
  decode_view(bytes, "half.jpg", 3, frame, got);
  EXPECT_EQ(got.pixels.size(), 300u);
  view = {{0, 0, 610, 470}, {10, 10}};
  const auto decode = [&] { decode_view(bytes, "half.jpg", 3, frame, got); };
  expect_error(decode, {"half.jpg", "truncated JPEG"});
}

TEST(Exif, what_makes_no_sense_is_upright) {
  const auto turn = [](const std::string& tiff) {
    const std::string segment = std::string("Exif\0\0", 6) + tiff;
    return exif_orientation(Bytes(segment.begin(), segment.end()));
  };
  const auto entry = [](char value) {
    return std::string("\x01\x12\x00\x03\x00\x00\x00\x01\x00", 9) + value + std::string(2, '\0');
  };
  const std::string big("MM\x00\x2a\x00\x00\x00\x08\x00\x01", 10);
  EXPECT_EQ(turn(big + entry(6)), 6);
  EXPECT_EQ(turn(big + entry(0)), 1);
  EXPECT_EQ(turn(big + entry(9)), 1);
  EXPECT_EQ(turn(std::string("II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00"
                             "\x08\x00\x00\x00",
                             22)),
            8);
  EXPECT_EQ(turn(""), 1);
  EXPECT_EQ(turn(big), 1) << "the directory is cut off";
  EXPECT_EQ(turn(std::string("MM\x00\x2a\xff\xff\xff\xff", 8)), 1) << "and lies nowhere";
  EXPECT_EQ(exif_orientation(Bytes{'J', 'F'}), 1);
}

}  // namespace
}  // namespace exciton::data
